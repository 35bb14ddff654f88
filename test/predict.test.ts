import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { init, nn, saveModel } from '../src/index.ts'
import { events, juanji } from './command-line.ts'

let folder: string
let model: string
let photos: string
const classes = ['red, warm', 'the "green" one', 'blue']

/** A picture of one colour. */
function picture(red: number, green: number, blue: number): Promise<Buffer> {
  const background = { r: red, g: green, b: blue }
  return sharp({ create: { width: 12, height: 9, channels: 3, background } })
    .png()
    .toBuffer()
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-predict-'))
  model = join(folder, 'model')
  const net = nn.sequential(nn.flatten(), nn.linear(3))
  await saveModel(model, { model: init(net, { input: [4, 4, 3], seed: 2 }), classes, dtype: 'u8' })
  photos = join(folder, 'photos')
  await mkdir(join(photos, 'deep', 'er'), { recursive: true })
  await mkdir(join(photos, '.thumbnails'))
  await writeFile(join(photos, 'a,b.png'), await picture(250, 10, 10))
  await writeFile(join(photos, 'c.jpg'), await picture(10, 250, 10)) // a PNG, whatever its name says
  await writeFile(join(photos, 'deep', 'er', 'd.png'), await picture(10, 10, 250))
  await writeFile(join(photos, 'deep', 'notes.png'), 'no picture at all')
  await writeFile(join(photos, '.thumbnails', 'e.png'), await picture(1, 2, 3))
})
afterAll(() => rm(folder, { recursive: true }))

const found = () => ['a,b.png', 'c.jpg', join('deep', 'er', 'd.png')].map((name) => join(photos, name))

describe('predict', () => {
  test('a folder is searched to any depth; pictures are told by their content', async () => {
    const { code, out, err } = await juanji(['predict', model, photos, '--json'])
    expect([code, err]).toEqual([0, ''])
    const lines = events(out)
    expect(lines.slice(0, 3).map(({ event, file }) => [event, file])).toEqual(
      found().map((file) => ['prediction', file]),
    )
    expect(lines.slice(3)).toEqual([
      { event: 'done', pictures: 3, unreadable: 0, skipped: 1, seconds: expect.any(Number) },
    ])
    for (const { top, class: best, probability } of lines.slice(0, 3)) {
      expect(top).toHaveLength(3)
      expect(top[0]).toEqual({ class: best, probability })
    }
  })

  test('files, a list and a folder give the same, in batches of any size', async () => {
    const text = async (argv: readonly string[], lines?: readonly string[]) => {
      const { code, out } = await juanji(['predict', model, ...argv, '--csv'], { lines })
      expect(code).toBe(0)
      return out
    }
    const expected = await text([photos])
    expect(expected.split('\n')).toHaveLength(5)
    expect(await text(found())).toBe(expected)
    expect(await text(['-'], found())).toBe(expected)
    expect(await text(['-'], [photos, ''])).toBe(expected)
    expect(await text([photos, '--batch-size', '1'])).toBe(expected)
    expect(await text([photos, '--batch-size', '2'])).toBe(expected)
  })

  test('--csv: a header, quoted cells, nothing else', async () => {
    const { out, err } = await juanji(['predict', model, found()[0], '--csv', '--top', '2'])
    const [head, line, end] = out.split('\n')
    expect([head, end]).toEqual(['file,class,probability,class2,probability2', ''])
    expect(line.startsWith(`"${found()[0]}",`)).toBe(true)
    expect(line).toMatch(
      /,("red, warm"|"the ""green"" one"|blue),[0-9.e-]+,("red, warm"|"the ""green"" one"|blue),[0-9.e-]+$/,
    )
    expect(err).toBe('')
  })

  test('--out writes the same into a file', async () => {
    const file = join(folder, 'out.csv')
    const { code, out, err } = await juanji(['predict', model, photos, '--out', file])
    expect([code, out]).toEqual([0, ''])
    expect(err).toMatch(/^3 pictures in [\d.]+ s, 1 other file passed over; the predictions are in .*out\.csv\n$/)
    expect(await readFile(file, 'utf8')).toBe((await juanji(['predict', model, photos, '--csv'])).out)
  })

  test('a table for people', async () => {
    const { out, err } = await juanji(['predict', model, photos, '--top', '1'])
    const lines = out.trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    const width = Math.max(...found().map((name) => name.length))
    for (const [i, line] of lines.entries()) {
      expect(line.slice(0, width).trimEnd()).toBe(found()[i])
      expect(line.slice(width)).toMatch(/^ {2}(red, warm|the "green" one|blue) +\d+\.\d %$/)
    }
    expect(err).toMatch(/^3 pictures in [\d.]+ s, 1 other file passed over\n$/)
  })

  test('unreadable pictures among many are named, the others predicted, and the exit code is 1', async () => {
    const damaged = join(folder, 'damaged.png')
    await writeFile(damaged, (await picture(9, 9, 9)).subarray(0, 60))
    const argv = ['predict', model, found()[0], damaged, join(folder, 'missing.png'), found()[1], '--csv']
    const { code, out, err } = await juanji(argv)
    expect(code).toBe(1)
    expect(out.trimEnd().split('\n')).toHaveLength(3)
    const lines = err.split('\n')
    expect(lines[0]).toMatch(/damaged\.png: not a picture that can be decoded: /)
    expect(lines[1]).toBe(`${join(folder, 'missing.png')}: cannot read: there is no such file or folder`)
    expect(lines[2]).toMatch(/^2 pictures in [\d.]+ s, 2 could not be read$/)
    expect(lines.slice(3).join('\n')).toBe(
      'FormatError: predict: 2 of 4 pictures could not be read.\n' +
        '  expected  JPEG, PNG, WebP, GIF or AVIF files\n' +
        '  fix       look at the files named above: correct the paths, repair them or leave them out\n',
    )
    const told = events((await juanji(argv.with(-1, '--json'))).out)
    expect(told.map(({ event }) => event)).toEqual([
      'unreadable',
      'unreadable',
      'prediction',
      'prediction',
      'done',
      'error',
    ])
    expect(told[1]).toEqual({
      event: 'unreadable',
      file: join(folder, 'missing.png'),
      reason: 'cannot read: there is no such file or folder',
    })
  })

  test('a single file that is not there is wrong usage', async () => {
    expect(await juanji(['predict', model, join(folder, 'missing.png'), '--csv'])).toEqual({
      code: 2,
      out: '',
      err: `ConfigError: ${join(folder, 'missing.png')}: cannot read: there is no such file or folder.\n  fix       check the path\n`,
    })
  })

  test('nothing to predict is wrong usage', async () => {
    const empty = join(photos, 'deep', 'empty')
    await mkdir(empty)
    const expected =
      '  expected  JPEG, PNG, WebP, GIF or AVIF files, folders with some, or - and a list of paths on standard input\n' +
      '  fix       check the paths\n'
    expect(await juanji(['predict', model, empty])).toEqual({
      code: 2,
      out: '',
      err: `ConfigError: ${empty}: there are no pictures in what was named.\n  got       nothing\n${expected}`,
    })
    await writeFile(join(empty, 'notes.txt'), 'hello')
    const file = join(folder, 'never.csv')
    expect((await juanji(['predict', model, empty, '--out', file])).err).toBe(
      `ConfigError: ${empty}: there are no pictures in what was named.\n  got       1 file that is no picture\n${expected}`,
    )
    expect((await readdir(folder)).filter((name) => name.startsWith('never'))).toEqual([])
    await rm(empty, { recursive: true })
    expect((await juanji(['predict', model, '-'])).code).toBe(2)
  })

  test('an output file that cannot be', async () => {
    const { code, err } = await juanji(['predict', model, photos, '--out', folder])
    expect(code).toBe(2)
    expect(err).toBe(
      `ConfigError: ${folder}: this is a folder.\n  expected  a file for the predictions\n  fix       add a name: --out predictions.csv\n`,
    )
    const { err: both } = await juanji(['predict', model, photos, '--csv', '--json'])
    expect(both).toContain("error: option '--csv' cannot be used with option '--json'\n")
  })

  test('Ctrl-C ends with 130 and leaves no half file', async () => {
    const file = join(folder, 'interrupted.csv')
    const many = Array.from({ length: 500 }, (_, i) => found()[i % 3])
    let pressed = false
    const { code, out } = await juanji(['predict', model, '-', '--batch-size', '4', '--out', file], {
      terminal: true,
      lines: many,
      watch(written, pressCtrlC) {
        if (pressed || !written.includes('pictures')) return
        pressed = true
        pressCtrlC()
      },
    })
    expect([code, out]).toEqual([130, ''])
    expect((await readdir(folder)).filter((name) => name.startsWith('interrupted'))).toEqual([])
  })
})
