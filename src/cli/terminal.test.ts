import { expect, test } from 'vitest'
import { openScreen, type Screen } from '../../test/screen.ts'
import { Terminal } from './terminal.ts'

const open = (screen: Screen, json = false) => new Terminal(screen.io, json)

test('pinned lines stay below all others', async () => {
  const screen = openScreen(40, 10)
  const terminal = open(screen)
  terminal.line('before')
  terminal.pin(['one', 'two'])
  terminal.line('a line')
  terminal.note('a note')
  terminal.pin(['one', 'two', 'three'])
  terminal.line('another')
  expect(await screen.seen()).toBe('before\na line\na note\nanother\none\ntwo\nthree')
  terminal.pin(['less'])
  expect(await screen.seen()).toBe('before\na line\na note\nanother\nless')
  terminal.unpin()
  expect(await screen.seen()).toBe('before\na line\na note\nanother')
  terminal.line('after')
  expect(await screen.seen()).toBe('before\na line\na note\nanother\nafter')
})

test('lines scroll away above them', async () => {
  const screen = openScreen(40, 6)
  const terminal = open(screen)
  terminal.pin(['pinned 1', 'pinned 2'])
  for (let i = 1; i <= 9; i++) {
    terminal.line(`line ${i}`)
    terminal.pin(['pinned 1', `pinned 2, ${i}`])
  }
  expect(await screen.text()).toEqual({
    scrolled: ['line 1', 'line 2', 'line 3', 'line 4', 'line 5'],
    seen: ['line 6', 'line 7', 'line 8', 'line 9', 'pinned 1', 'pinned 2, 9'],
  })
})

test('a frame is one string, as is a line above it', () => {
  const screen = openScreen(40, 10)
  const terminal = open(screen)
  terminal.pin(['one', 'two'])
  terminal.pin(['three', 'four'])
  terminal.line('above')
  expect(screen.writes).toHaveLength(3)
})

test('the cursor is hidden while lines are pinned, and shown however that ends', () => {
  for (const end of [
    (terminal: Terminal) => terminal.unpin(),
    (terminal: Terminal) => terminal.done(),
    (_: Terminal, screen: Screen) => screen.leave(),
  ]) {
    const screen = openScreen(40, 10)
    const terminal = open(screen)
    terminal.pin(['one'])
    expect(screen.cursorHidden).toBe(true)
    end(terminal, screen)
    expect(screen.cursorHidden).toBe(false)
    const written = screen.writes.length
    screen.leave()
    terminal.done()
    expect(screen.writes).toHaveLength(written)
  }
})

test('a terminal that becomes narrower breaks lines, and they are still replaced', async () => {
  const screen = openScreen(60, 12)
  const terminal = open(screen)
  terminal.line('stays')
  terminal.pin(['x'.repeat(55), '', 'y'.repeat(45), 'z'])
  await screen.resize(30, 12)
  terminal.pin(['new x', '', 'new y', 'new z'])
  expect(await screen.seen()).toBe('stays\nnew x\n\nnew y\nnew z')
  await screen.resize(60, 8)
  terminal.line('more')
  expect(await screen.seen()).toBe('stays\nmore\nnew x\n\nnew y\nnew z')
})

test('a line that is too long for the terminal is cut, not broken', async () => {
  const screen = openScreen(10, 5)
  const terminal = open(screen)
  terminal.pin(['0123456789abcdef', 'second'])
  terminal.pin(['0123456789abcdef', 'again'])
  const { seen, scrolled } = await screen.text()
  expect([scrolled, seen[0].slice(0, 9), seen.slice(1)]).toEqual([[], '012345678', ['again', '', '', '']])
})

test('nothing is pinned where nobody looks, or where lines cannot be redrawn', () => {
  const pinned = (screen: Screen, json = false) => {
    open(screen, json).pin(['one'])
    return screen.writes.length
  }
  expect(pinned(openScreen(40, 10))).toBe(1)
  expect(pinned(openScreen(40, 10), true)).toBe(0)
  expect(pinned(openScreen(40, 10, { out: false }))).toBe(0)
  expect(pinned(openScreen(40, 10, { environment: { TERM: 'dumb' } }))).toBe(0)
  const background = openScreen(40, 10)
  background.foreground = false
  expect(pinned(background)).toBe(0)
})

test('progress gives way to pinned lines, and comes back', async () => {
  const screen = openScreen(60, 10)
  const terminal = open(screen)
  terminal.progress({ label: 'test', done: 1, total: 2 })
  expect(await screen.seen()).toContain('50 %')
  terminal.pin(['pinned'])
  terminal.progress({ label: 'test', done: 2, total: 2 })
  expect(await screen.seen()).toBe('pinned')
  terminal.unpin()
  terminal.progress({ label: 'test', done: 2, total: 2 })
  expect(await screen.seen()).toContain('100 %')
})
