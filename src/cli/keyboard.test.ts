import { describe, expect, test } from 'vitest'
import { hasSessions, Session } from '../../test/session.ts'
import { keysOf } from './keyboard.ts'

test('keys are characters; arrows and the like are left out', () => {
  expect(keysOf('qC?\u0003')).toEqual(['q', 'c', '?', '\u0003'])
  expect(keysOf('\u001b[A\u001b[1;5Cx\u001bOP\u001b')).toEqual(['x'])
  expect(keysOf('退')).toEqual(['退'])
})

const played = `${process.execPath} --import tsx scripts/play-training.ts`

describe.skipIf(!hasSessions)(
  `on a real terminal${hasSessions ? '' : ' (skipped: the command script of util-linux is not here)'}`,
  () => {
    const restored = 'code=$?; stty -a | grep -o -- "-*icanon"; exit $code'
    const viewed = /q stop/

    test('q stops the command; the terminal is as it was', async () => {
      const session = new Session(`${played}; ${restored}`)
      await session.until(viewed)
      session.press('q')
      await session.until('Stopped')
      const { code, rest } = await session.end()
      expect([code, session.cursorShown]).toEqual([130, true])
      expect(rest).toMatch(/^\.\r\nicanon\r\n$/m)
    })

    test('Ctrl-C in raw mode: the first stops, the second quits at once', async () => {
      const session = new Session(`${played} --ms 600000; ${restored}`)
      await session.until(viewed)
      session.press('\u0003')
      await session.until('Stopping after this step')
      session.press('\u0003')
      const { code, rest } = await session.end()
      expect([code, session.cursorShown]).toEqual([130, true])
      expect(rest).toMatch(/[^-]icanon\r\n$/)
    })

    test('an error and a signal leave the terminal as it was, too', async () => {
      const failing = new Session(`${played} --fail --steps 6 --ms 30; ${restored}`)
      await failing.until('as it was asked to')
      expect((await failing.end()).rest).toMatch(/[^-]icanon\r\n$/)
      expect(failing.cursorShown).toBe(true)

      const killed = new Session(`bash -c 'echo "pid $$."; exec ${played}'; ${restored}`)
      const pid = Number(/\d+/.exec(await killed.until(/pid \d+\./)))
      await killed.until(viewed)
      process.kill(pid, 'SIGTERM')
      const { code, rest } = await killed.end()
      expect([code, killed.cursorShown]).toEqual([128 + 15, true])
      expect(rest).toMatch(/[^-]icanon\r\n$/)
    })

    test('Ctrl-Z suspends, bg goes on without the terminal, fg brings the view back', async () => {
      const session = new Session('bash --norc --noprofile -i')
      session.press(`PS1="ready> "; ${played} --steps 100000\n`)
      await session.until(viewed)
      session.press('\u001a')
      await session.until('Stopped')
      expect(session.cursorShown).toBe(true)
      await session.until('ready> ')
      session.press('bg; echo in the $((6 * 7)) background\n')
      await session.until('in the 42 background')
      session.press('fg\n')
      await session.until(viewed)
      session.press('q')
      await session.until('Stopped')
      session.press('exit\n')
      await session.end()
    })
  },
)
