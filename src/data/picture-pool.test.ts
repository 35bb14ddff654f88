import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeImage, readFile } from '../platform/node.ts'
import { PicturePool, PictureProblem, startPicturePool } from './picture-pool.ts'
import { pictureToSample } from './resize.ts'

let folder: string
let pool: PicturePool
const path = (name: string) => join(folder, name)

/** Soft colours with some noise, as photographs have them. */
const pixels = (width: number, height: number, channels: number) =>
  Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const x = Math.floor(i / channels) % width
    const y = Math.floor(i / channels / width)
    return 120 + 60 * Math.sin(x / 9 + (i % channels)) + 60 * Math.cos(y / 7) + ((i * 7919) % 13)
  })
const picture = (width: number, height: number, channels: 1 | 2 | 3 | 4) =>
  sharp(pixels(width, height, channels), { raw: { width, height, channels } })

const files: Record<string, () => Promise<Buffer>> = {
  'jpeg.jpg': () => picture(90, 60, 3).jpeg().toBuffer(),
  'turned.jpg': () => picture(90, 60, 3).withMetadata({ orientation: 8 }).jpeg().toBuffer(),
  'cmyk.jpg': () => picture(50, 60, 3).toColourspace('cmyk').jpeg().toBuffer(),
  'grey.png': () => picture(33, 47, 1).toColourspace('b-w').png().toBuffer(),
  'grey-alpha.png': () => picture(33, 47, 2).png().toBuffer(),
  'deep.png': () => picture(33, 47, 3).toColourspace('rgb16').png().toBuffer(),
  'deep-grey.png': () => picture(33, 47, 1).toColourspace('grey16').png().toBuffer(),
  'palette.png': () => picture(64, 64, 3).png({ palette: true, colours: 16 }).toBuffer(),
  'clear.webp': () => picture(40, 40, 4).webp({ lossless: true }).toBuffer(),
  'large.webp': () => picture(400, 300, 3).webp({ lossless: true }).toBuffer(),
  'gif.gif': () => picture(40, 30, 3).gif().toBuffer(),
  'avif.avif': () => picture(40, 30, 3).avif({ effort: 0 }).toBuffer(),
  'tiff.tif': () => picture(300, 200, 3).tiff({ compression: 'none' }).toBuffer(),
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-pool-'))
  for (const [name, make] of Object.entries(files)) await writeFile(path(name), await make())
  pool = await startPicturePool(2)
})
afterAll(async () => {
  await pool.close()
  await rm(folder, { recursive: true })
})

describe('samples are what predict makes of the same file', () => {
  test.each(Object.keys(files))('%s', async (name) => {
    const decoded = await decodeImage(await readFile(path(name)), name)
    for (const [height, width, channels] of [
      [16, 16, 3],
      [9, 12, 1],
    ]) {
      const sample = await pool.ask('sample', { path: path(name), height, width, channels })
      expect(sample).toEqual(pictureToSample(decoded, [height, width, channels]))
    }
    const { height, width } = await pool.ask('header', { path: path(name) })
    expect([height, width]).toEqual([decoded.height, decoded.width])
  })
})

test('headers tell what is grey', async () => {
  const grey = await Promise.all(
    Object.keys(files).map(async (name) => ((await pool.ask('header', { path: path(name) })).grey ? name : undefined)),
  )
  expect(grey.filter((name) => name !== undefined)).toEqual(['grey.png', 'deep-grey.png'])
})

test('what goes wrong with a file is told apart', async () => {
  await writeFile(path('text.jpg'), 'this is text')
  const jpeg = await files['jpeg.jpg']()
  await writeFile(path('cut.jpg'), jpeg.subarray(0, jpeg.length >> 1))
  const problem = async (name: string) => {
    const error = await pool.ask('sample', { path: path(name), height: 4, width: 4, channels: 3 }).catch((e) => e)
    expect(error).toBeInstanceOf(PictureProblem)
    return `${error.kind}: ${error.message}`
  }
  expect(await problem('text.jpg')).toBe('damaged: no picture: it begins with "this is " (text)')
  expect(await problem('cut.jpg')).toBe('damaged: it cannot be decoded: damaged or cut short')
  expect(await problem('none.jpg')).toBe('missing: there is no such file')
  await expect(pool.ask('sample', { path: path('jpeg.jpg'), height: -1, width: 4, channels: 3 })).rejects.toThrow(
    'reading a picture failed: Invalid typed array length: -1',
  )
})

describe('the pool', () => {
  /** Workers that answer when they are told to. */
  const byHand = (count: number) => {
    const posted: { id: number; thread: number }[] = []
    const handlers: ((message: unknown) => void)[] = []
    const state = { refs: 0, ended: 0, fail: (_: Error): void => undefined }
    const workers = Array.from({ length: count }, (_, thread) => ({
      post: (message: unknown) => posted.push({ id: (message as { id: number }).id, thread }),
      onMessage: (handler: (message: unknown) => void) => {
        handlers[thread] = handler
      },
      onError: (handler: (error: Error) => void) => {
        state.fail = handler
      },
      ref: () => state.refs++,
      unref: () => state.refs--,
      terminate: async () => {
        state.ended++
      },
    }))
    const pool = new PicturePool(workers as unknown as ConstructorParameters<typeof PicturePool>[0])
    const answer = (id: number) => handlers[posted[id].thread]({ id, output: `sum ${id}` })
    return { pool, posted, answer, state }
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve))

  test('gives each thread two jobs, the next when one is done, in the order asked', async () => {
    const { pool, posted, answer, state } = byHand(2)
    const sums = Array.from({ length: 2500 }, () => pool.ask('digest', { path: '' }))
    expect(posted.map(({ thread }) => thread)).toEqual([0, 1, 0, 1])
    expect(state.refs).toBe(2)
    answer(2)
    answer(1)
    expect(posted.slice(4).map(({ thread }) => thread)).toEqual([0, 1])
    for (const id of [0, 3]) answer(id)
    for (let id = 4; id < 2500; id++) answer(id)
    expect(await Promise.all(sums)).toEqual(Array.from({ length: 2500 }, (_, i) => `sum ${i}`))
    expect(state.refs).toBe(0)
  })

  test('decodes few large pictures at a time, but at least one', async () => {
    const { pool, posted, answer } = byHand(2)
    const ask = (megapixels: number) => pool.ask('digest', { path: '' }, megapixels * 1e6)
    const all = [ask(100), ask(1), ask(40), ask(40), ask(1)]
    expect(posted.length).toBe(1)
    answer(0)
    expect(posted.length).toBe(3)
    answer(1)
    expect(posted.length).toBe(3)
    answer(2)
    expect(posted.length).toBe(5)
    for (const id of [3, 4]) answer(id)
    await Promise.all(all)
  })

  test('a thread that breaks down ends all', async () => {
    const { pool, state } = byHand(2)
    const jobs = Array.from({ length: 6 }, () =>
      pool.ask('digest', { path: '' }).catch((error: Error) => error.message),
    )
    state.fail(new Error('out of memory'))
    expect(new Set(await Promise.all(jobs))).toEqual(new Set(['out of memory']))
    await turn()
    expect(state.ended).toBe(2)
    await expect(pool.ask('digest', { path: '' })).rejects.toThrow('out of memory')
  })

  test('closed, it has no more jobs done', async () => {
    const closed = await startPicturePool(1)
    const job = closed.ask('digest', { path: path('jpeg.jpg') }).catch((error: Error) => error.message)
    await closed.close()
    await closed.close()
    const message =
      'image folder: it is closed.\n' +
      '  expected  an open one: samples are decoded when they are asked for\n' +
      '  fix       close it when all work on its data sets is done'
    expect(await job).toBe(message)
    await expect(closed.ask('digest', { path: '' })).rejects.toThrow(message)
  })
})

test('works when bundled, minified and run elsewhere', async () => {
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), path('node_modules'))
  await build({
    stdin: {
      contents: `import { startPicturePool } from './picture-pool.ts'
        const pool = await startPicturePool(1)
        console.log((await pool.ask('sample', { path: process.argv[2], height: 2, width: 2, channels: 3 })).join())`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
    },
    alias: { '#platform': fileURLToPath(new URL('../platform/node.ts', import.meta.url)) },
    bundle: true,
    minify: true,
    keepNames: true,
    platform: 'node',
    format: 'esm',
    target: 'es2022',
    external: ['sharp'],
    outfile: path('bundle.mjs'),
  })
  const { stdout, stderr } = spawnSync(process.execPath, [path('bundle.mjs'), path('jpeg.jpg')], {
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 30_000,
  })
  expect(stderr).toBe('')
  const sample = await pool.ask('sample', { path: path('jpeg.jpg'), height: 2, width: 2, channels: 3 })
  // It also ends by itself, though nobody closed it.
  expect(stdout).toBe(`${sample.join()}\n`)
})
