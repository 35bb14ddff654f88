import { expect, test } from 'vitest'
import { openScreen, type ScreenOptions } from '../../test/screen.ts'
import { Interrupted, makeRunner, type Task } from './command.ts'
import { openTrainingView } from './training-keys.ts'

/** A training that waits for keys, on a screen of 80×24 characters. */
async function train(
  body: (parts: { screen: ReturnType<typeof openScreen>; task: Task; asked: string[] }) => Promise<void>,
  options: ScreenOptions & { readonly plain?: boolean; readonly json?: boolean } = {},
) {
  const screen = openScreen(80, 24, options)
  const asked: string[] = []
  const control = { checkpoint: () => void asked.push('checkpoint'), finish: () => void asked.push('finish') }
  const state = { begun: true, verbose: false, json: false }
  const ending = await makeRunner(screen.io, state)({ json: options.json }, async (task) => {
    const view = openTrainingView(task, { control, plain: options.plain })
    view.handle({ event: 'start', epochs: 3, stepsPerEpoch: 10, validationSamples: 0, learningRate: 0.1 })
    await body({ screen, task, asked })
  }).catch((error: unknown) => error)
  return { screen, asked, ending }
}
const lastLine = (text: string) => text.split('\n').at(-1)

test('keys ask the training for what they say', async () => {
  const { asked, ending, screen } = await train(async ({ screen, task }) => {
    expect(lastLine(await screen.seen())).toBe('q stop   c checkpoint now   f finish here   ? help')
    screen.press('c')
    expect(lastLine(await screen.seen())).toBe('Writing a checkpoint after this step.')
    screen.press('f')
    expect(lastLine(await screen.seen())).toBe('Ending here: the model is written after this step.')
    screen.press('?')
    expect(await screen.seen()).toContain(`\
keys
  q       stop after this step; the run can be resumed
  c       write a checkpoint after this step
  f       end the training here and write the model
  ?       show or hide this
  Ctrl-C  stop after this step; a second time quits at once
`)
    screen.press('x')
    expect(task.signal.aborted).toBe(false)
  })
  expect([asked, ending]).toEqual([['checkpoint', 'finish'], undefined])
  // The command is over: keys mean nothing any more, and the screen is as it was.
  screen.press('c')
  expect(asked).toHaveLength(2)
  expect([await screen.seen(), screen.cursorHidden]).toEqual(['', false])
})

test('q is the first Ctrl-C; only a real one quits at once', async () => {
  const { ending, screen } = await train(async ({ screen, task }) => {
    screen.press('q')
    screen.press('q')
    expect(task.signal.aborted).toBe(true)
    expect(() => screen.interrupt()).toThrow('quit with 130')
  })
  expect(ending).toBeInstanceOf(Interrupted)
  expect(await screen.seen()).toBe('Stopping after this step. Ctrl-C again quits at once.')
})

test('an error takes the view away', async () => {
  const { ending, screen } = await train(async () => {
    throw new Error('no more data')
  })
  expect([(ending as Error).message, await screen.seen(), screen.cursorHidden]).toEqual(['no more data', '', false])
})

test('no keys where there is nothing to see or nothing to press', async () => {
  for (const options of [
    { plain: true },
    { json: true },
    { out: false },
    { keys: false },
    { environment: { TERM: 'dumb' } },
  ]) {
    const { asked } = await train(async ({ screen }) => {
      screen.press('c')
      if ('keys' in options) expect(lastLine(await screen.seen())).toBe('Ctrl-C stop')
    }, options)
    expect(asked).toEqual([])
  }
})
