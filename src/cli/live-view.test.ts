import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openScreen, type Screen } from '../../test/screen.ts'
import type { TrainEvent } from '../index.ts'
import { type LiveEvent, LiveView, type LiveViewOptions } from './live-view.ts'
import { Terminal } from './terminal.ts'
import { textWidth } from './text-width.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const keys = [
  { key: 'q', short: 'stop', long: 'stop after this step' },
  { key: '?', short: 'help', long: 'show or hide this' },
]

/** A view on a screen, with a clock that only the test moves. */
function open(screen: Screen, options: LiveViewOptions = {}, json = false) {
  const clock = { now: 0 }
  const terminal = new Terminal(screen.io, json)
  const view = new LiveView(terminal, { keys, now: () => clock.now, memory: () => 312.4 * 2 ** 20, ...options })
  return { view, clock, terminal }
}

const epochs = 4
const stepsPerEpoch = 100
const start: LiveEvent = { event: 'start', epochs, stepsPerEpoch, validationSamples: 500, learningRate: 0.001 }

function step(globalStep: number): LiveEvent {
  const epoch = Math.ceil(globalStep / stepsPerEpoch)
  const done = globalStep - (epoch - 1) * stepsPerEpoch
  // Means over the epoch so far of a loss that falls as 1 / (1 + step / 40).
  let sum = 0
  for (let i = globalStep - done + 1; i <= globalStep; i++) sum += 2.3 / (1 + i / 40)
  return {
    event: 'step',
    epoch,
    step: done,
    stepsPerEpoch,
    loss: sum / done,
    accuracy: 1 - 0.4 * (sum / done),
    learningRate: 0.001 * (1 - globalStep / (epochs * stepsPerEpoch)),
    samplesPerSecond: 3412.4,
    secondsLeft: (epochs * stepsPerEpoch - globalStep) / 10,
  }
}

function epochEnd(epoch: number): LiveEvent {
  return {
    event: 'epoch',
    epoch,
    epochs,
    loss: 0.9 / epoch,
    accuracy: 1 - 0.3 / epoch,
    validationLoss: 1 / epoch,
    validationAccuracy: 1 - 0.35 / epoch,
    samplesPerSecond: 3412,
    seconds: 10,
    best: true,
  }
}

/** A tenth of a second a step, up to this one of the run. */
function play({ view, clock }: ReturnType<typeof open>, lastStep: number): void {
  view.handle(start)
  for (let i = 1; i <= lastStep; i++) {
    clock.now += 100
    view.handle(step(i))
    if (i % stepsPerEpoch !== 0) continue
    view.handle(epochEnd(i / stepsPerEpoch))
    const path = `runs/digits-1/checkpoints/epoch-${i / stepsPerEpoch}`
    view.handle({
      event: 'checkpoint',
      path,
      epoch: i / stepsPerEpoch,
      step: stepsPerEpoch,
      reason: 'epoch',
      bytes: 12e6,
    })
  }
}

/** What is to be seen, without the blanks that the view writes at the ends of lines. */
async function seen(screen: Screen): Promise<string> {
  return (await screen.seen()).replace(/ +$/gm, '')
}

test('the trainer and the view agree on the events', () => {
  const { view } = open(openScreen(80, 24))
  const listener: (event: TrainEvent) => void = (event) => view.handle(event)
  expect(listener).toBeTypeOf('function')
})

test('80×24', async () => {
  const screen = openScreen(80, 24)
  const opened = open(screen)
  opened.terminal.line('juanji trains simpleCnn on digits')
  play(opened, 250)
  expect(await seen(screen)).toMatchInlineSnapshot(`
    "juanji trains simpleCnn on digits
    epoch 1/4   loss 0.9000   accuracy 70.00 %   held-out 65.00 %   10 s
    epoch 2/4   loss 0.4500   accuracy 85.00 %   held-out 82.50 %   10 s

    epoch 3/4  ███████████████░░░░░░░░░░░░░░░   50 %  3,412 images/s  step 50/100
    run        ██████████████████▊░░░░░░░░░░░   62 %  15 s left  25 s gone
    loss  • held-out                         accuracy  • held-out
      2.09 ┤⠉⢢                               86.6 % ┤               ⣀⣀⡠⠤⠤⠔⠒⠒⠒•⠉⠉⠉⠉⠉
           │  ⠣⡀                                    │         ⢀⡠⠤⠒⠊⠉
           │   ⠑⡄                                   │      ⢀⠤⠊⠁  •
           │    ⠈⠢⡀                                 │    ⢀⠔⠁
           │      ⠈⠒⢄⡀  •                           │   ⡠⠃
           │         ⠈⠑⠒⠤⢄⣀                         │  ⡔⠁
     0.336 ┤               ⠉⠉⠑⠒⠒⠢⠤⠤⠤•⣀⣀⣀⣀⣀   16.4 % ┤⣀⠜
            0                   2.5 epochs           0                   2.5 epochs
    training   loss 0.3475   accuracy  86.10 %
    held-out   loss 0.5000   accuracy  82.50 %   best epoch 2
    learning rate 0.000375   memory 312 MiB   saved at epoch 2, step 100, 5 s ago
    q stop   ? help"
  `)
})

test('60×15, the smallest', async () => {
  const screen = openScreen(60, 15)
  play(open(screen), 250)
  expect(await seen(screen)).toMatchInlineSnapshot(`
    "epoch 1/4  loss 0.9000  accuracy 70.00 %  held-out 65.00 %
    epoch 2/4  loss 0.4500  accuracy 85.00 %  held-out 82.50 %

    epoch 3/4  █████░░░░░   50 %  3,412 images/s  step 50/100
    run        ██████▎░░░   62 %  15 s left  25 s gone
    loss  • held-out               accuracy  • held-out
      2.01 ┤⠉⢢                     86.4 % ┤       ⢀⣀⠤⠤⠒⠒⠒⠉⠉•⠉⠉⠉
           │  ⠑⢄                          │    ⡠⠒⠉⠁•
           │    ⠑⠤⣀⡀•                     │  ⡠⠊
     0.339 ┤       ⠈⠉⠒⠒⠤⠤⠤⣀⣀•⣀⣀⣀   19.8 % ┤⣀⠜
            0         2.5 epochs           0         2.5 epochs
    training   loss 0.3475   accuracy  86.10 %
    held-out   loss 0.5000   accuracy  82.50 %   best epoch 2
    learning rate 0.000375  memory 312 MiB  saved 5 s ago
    q stop   ? help"
  `)
})

test('120×40', async () => {
  const screen = openScreen(120, 40)
  play(open(screen), 250)
  expect(await seen(screen)).toMatchInlineSnapshot(`
    "epoch 1/4   loss 0.9000   accuracy 70.00 %   held-out 65.00 %   3,412 images/s   10 s
    epoch 2/4   loss 0.4500   accuracy 85.00 %   held-out 82.50 %   3,412 images/s   10 s

    epoch 3/4  ███████████████░░░░░░░░░░░░░░░   50 %  3,412 images/s  step 50/100
    run        ██████████████████▊░░░░░░░░░░░   62 %  15 s left  25 s gone
    loss  • held-out                                             accuracy  • held-out
      2.03 ┤⠉⠉⢢                                                  86.5 % ┤                                ⢀⣀⣀⡠⠤⠤⠤⠒•⠒⠒⠉⠉⠉⠉⠉⠉⠉
           │   ⢣                                                        │                       ⢀⣀⡠⠤⠔⠒⠊⠉⠉⠁
           │    ⢣                                                       │                  ⣀⡠⠔⠒⠉⠁
           │     ⠱⡀                                                     │              ⢀⠤⠒⠉  •
           │      ⠘⢄                                                    │           ⢀⡠⠊⠁
           │        ⠣⡀                                                  │         ⢀⠔⠁
           │         ⠈⠢⡀                                                │        ⡔⠁
           │           ⠈⠑⢄⡀     •                                       │      ⢠⠊
           │              ⠈⠒⠤⣀                                          │     ⡰⠁
           │                  ⠉⠑⠢⠤⣀⡀                                    │    ⡜
           │                       ⠈⠉⠑⠒⠢⠤⢄⣀⣀⡀       •                   │   ⡜
     0.339 ┤                                ⠈⠉⠉⠑⠒⠒⠒⠤⠤⠤⠤⣀⣀⣀⣀⣀⣀⣀   18.7 % ┤⣀⣀⠜
            0                                       2.5 epochs           0                                       2.5 epochs
    training   loss 0.3475   accuracy  86.10 %
    held-out   loss 0.5000   accuracy  82.50 %   best epoch 2
    learning rate 0.000375   memory 312 MiB   saved at epoch 2, step 100, 5 s ago
    q stop   ? help"
  `)
})

test('before the first step, while held-out data are measured, and with help', async () => {
  const screen = openScreen(80, 24)
  const { view, clock } = open(screen)
  view.handle({ ...start, epochs: 1, resumedAt: { epoch: 1, step: 50 } } as LiveEvent)
  const lines = async () => (await seen(screen)).split('\n')
  const before = await lines()
  expect(before.slice(0, 4)).toEqual([
    '',
    'epoch 1/1  ███████████████░░░░░░░░░░░░░░░   50 %  step 50/100',
    'run        ███████████████░░░░░░░░░░░░░░░   50 %  0.0 s gone',
    'loss                                     accuracy',
  ])
  expect(before.slice(-4)).toEqual([
    'training   waiting for the first step',
    'held-out   measured after each epoch',
    'learning rate 0.001   memory 312 MiB',
    'q stop   ? help',
  ])
  view.handle(step(100))
  clock.now = 5000
  view.handle({ event: 'validation', epoch: 1, done: 100, total: 500 })
  expect((await lines())[1]).toBe('held-out   ██████░░░░░░░░░░░░░░░░░░░░░░░░   20 %  100/500 images')
  view.toggleHelp()
  expect((await lines()).slice(3, 8)).toEqual([
    'keys',
    '  q       stop after this step',
    '  ?       show or hide this',
    '  Ctrl-C  stop after this step; a second time quits at once',
    '',
  ])
  expect(await lines()).toHaveLength(before.length)
  view.toggleHelp()
  view.say('Ending here.')
  expect((await lines()).at(-1)).toBe('Ending here.')
})

test('a resumed run shows what it has behind it', async () => {
  const screen = openScreen(80, 24)
  const { view, clock } = open(screen)
  const history = [epochEnd(1), epochEnd(2)]
  view.handle({ ...start, resumedAt: { epoch: 3, step: 50 }, history } as LiveEvent)
  clock.now += 1000
  view.handle(step(251))
  const lines = (await seen(screen)).split('\n')
  expect(lines.slice(3, 12)).toMatchInlineSnapshot(`
    [
      "loss  • held-out                         accuracy  • held-out",
      "  1.00 ┤           •                     86.1 % ┤                ⢀⠔⠒⠒⠒⠒⠒⠒⠉⠉⠉⠉⠉⠉",
      "       │     ⠈⠢⢄                                │              ⡠⠊⠁      •",
      "       │        ⠑⠤⡀                             │           ⢀⠔⠊",
      "       │          ⠈⠢⢄                           │         ⡠⠔⠁",
      "       │             ⠑⠢⡀                        │      ⢀⡠⠊",
      "       │               ⠈⠒⢄⣀    •                │     ⠐⠁",
      " 0.347 ┤                   ⠉⠉⠉⠒⠒⠒⠤⠤⠤⣀⣀   65.0 % ┤           •",
      "        0                  2.51 epochs           0                  2.51 epochs",
    ]
  `)
  expect(lines.at(-3)).toBe('held-out   loss 0.5000   accuracy  82.50 %   best epoch 2')
})

test('no line is too long, whatever the size and the numbers', async () => {
  for (const [columns, rows] of [
    [60, 15],
    [61, 16],
    [79, 24],
    [100, 30],
    [300, 80],
  ]) {
    const screen = openScreen(columns, rows)
    const opened = open(screen, { memory: () => 123.4 * 2 ** 30 })
    play(opened, 350)
    opened.clock.now += 4000_000
    const extreme = { learningRate: 1.234e-6, samplesPerSecond: 1234567, secondsLeft: 987654 }
    opened.view.handle({ ...step(351), ...extreme } as LiveEvent)
    const lines = (await screen.seen()).split('\n')
    expect(lines.length).toBeLessThanOrEqual(rows)
    for (const line of lines) expect(textWidth(line)).toBeLessThan(columns)
    expect(lines.at(-2)).toMatch(/^learning rate 1\.23e-6 +memory 123\.40 GiB +saved (at epoch 3, step 100, )?1 h ago$/)
  }
})

test('it survives changes of size: one line where it is too small, and back', async () => {
  const screen = openScreen(100, 40)
  const opened = open(screen)
  play(opened, 120)
  expect(await seen(screen)).toContain('run ')
  await screen.resize(70, 40)
  opened.clock.now += 1000
  opened.view.handle(step(121))
  const narrow = await seen(screen)
  expect(narrow.match(/^run /gm)).toHaveLength(1)
  expect(narrow.match(/^q stop/gm)).toHaveLength(1)
  expect(narrow.match(/^epoch 1\/4 /gm)).toHaveLength(1)
  await screen.resize(50, 40)
  opened.view.handle(step(122))
  const { scrolled, seen: below } = await screen.text()
  expect([...scrolled, ...below].join('\n').trimEnd()).toMatch(
    /^epoch 1\/4 {3}loss 0\.9000 [^█]*\nepoch 2\/4 {2}█+.*░ +22 %.*$/,
  )
  expect(screen.cursorHidden).toBe(false)
  await screen.resize(80, 24)
  opened.clock.now += 1000
  opened.view.handle(step(123))
  expect(await seen(screen)).toMatch(/\nq stop {3}\? help$/)
})

test('it draws at most ten times a second, one string a frame, and goes on by itself', () => {
  const screen = openScreen(80, 24)
  const { view, clock } = open(screen)
  view.handle(start)
  const first = screen.writes.length
  for (let i = 1; i <= 100; i++) {
    clock.now += 10
    view.handle(step(i))
  }
  expect(screen.writes.length - first).toBeLessThanOrEqual(10)
  expect(screen.writes.length - first).toBeGreaterThanOrEqual(9)
  const before = screen.writes.length
  clock.now += 3000
  vi.advanceTimersByTime(250)
  expect(screen.writes.length).toBe(before + 1)
  vi.advanceTimersByTime(250)
  expect(screen.writes.length).toBe(before + 1)
  view.close()
  clock.now += 3000
  vi.advanceTimersByTime(5000)
  expect(screen.writes.length).toBe(before + 2)
  expect(vi.getTimerCount()).toBe(0)
})

test('the end takes it away and leaves the epochs', async () => {
  const screen = openScreen(80, 24)
  const opened = open(screen)
  play(opened, 400)
  expect(screen.cursorHidden).toBe(true)
  opened.view.handle({ event: 'end' })
  opened.terminal.line('Test accuracy: 99.00 %')
  opened.view.handle(step(400))
  expect(screen.cursorHidden).toBe(false)
  expect(await seen(screen)).toBe(`\
epoch 1/4   loss 0.9000   accuracy 70.00 %   held-out 65.00 %   10 s
epoch 2/4   loss 0.4500   accuracy 85.00 %   held-out 82.50 %   10 s
epoch 3/4   loss 0.3000   accuracy 90.00 %   held-out 88.33 %   10 s
epoch 4/4   loss 0.2250   accuracy 92.50 %   held-out 91.25 %   10 s
Test accuracy: 99.00 %`)
})

test('warnings and checkpoints that were asked for are lines', async () => {
  const screen = openScreen(80, 24)
  const { view } = open(screen)
  view.handle(start)
  view.handle({ event: 'warning', message: 'three pictures could not be read' })
  view.say('Writing a checkpoint after this step.')
  const path = 'runs/a/checkpoints/last'
  view.handle({ event: 'checkpoint', path, epoch: 1, step: 7, reason: 'asked', bytes: 12.3e6 })
  const lines = (await seen(screen)).split('\n')
  expect(lines.slice(0, 2)).toEqual([
    'warning: three pictures could not be read',
    'checkpoint of epoch 1, step 7: runs/a/checkpoints/last (12.3 MB)',
  ])
  expect(lines.at(-1)).toBe('q stop   ? help')
})

test('no styles where colours are not wanted', () => {
  const styled = (environment: Record<string, string>) => {
    const screen = openScreen(80, 24, { environment })
    play(open(screen), 110)
    return screen.writes.join('').includes('\u001b[2m')
  }
  expect([styled({}), styled({ NO_COLOR: '1' })]).toEqual([true, false])
})

test('one line with --plain, on a small terminal, and where only errors are seen', async () => {
  for (const [screen, options] of [
    [openScreen(80, 24), { plain: true }],
    [openScreen(80, 14), {}],
    [openScreen(59, 24), {}],
    [openScreen(80, 24, { out: false }), {}],
  ] as const) {
    const opened = open(screen, options)
    play(opened, 30)
    expect(await seen(screen)).toMatch(/^epoch 1\/4 {2}█*.░+ {2}\d+ % {2}\d+ s left/)
    expect(screen.cursorHidden).toBe(false)
    opened.view.say('Ending here.')
    opened.view.toggleHelp()
    expect((await seen(screen)).split('\n').slice(0, 3)).toEqual([
      'Ending here.',
      'keys',
      '  q       stop after this step',
    ])
  }
})

test('nothing is redrawn on a dumb terminal, or on one that is not ours at the moment', () => {
  for (const screen of [openScreen(80, 24, { environment: { TERM: 'dumb' } }), openScreen(80, 24)]) {
    screen.foreground = false
    play(open(screen), 110)
    const written = screen.writes.join('')
    for (const redrawn of ['\r', '█', '\u001b[?', '\u001b[K']) expect(written).not.toContain(redrawn)
    expect(written).toMatch(/^epoch 1\/4 {3}loss 0\.9000 .*\n$/)
  }
})

test('--json says nothing', () => {
  const screen = openScreen(80, 24)
  play(open(screen, {}, true), 110)
  expect(screen.writes).toEqual([])
})
