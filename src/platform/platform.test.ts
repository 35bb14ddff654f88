import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigError, FormatError, UnsupportedError } from '../base/errors.ts'
import * as browser from './browser.ts'
import * as node from './node.ts'
import type { FolderListing, PictureAnswer, PictureJob } from './pictures.ts'
import { type DecodedImage, fromRgba, type Platform, type PlatformWorker } from './platform.ts'

// The type checker holds both implementations against the one description.
const platforms = { node, browser } satisfies Record<string, Platform>

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-platform-'))
})
afterAll(() => node.removeTree(folder))

async function errorOf(action: () => Promise<unknown>): Promise<Error> {
  try {
    await action()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('both platforms', () => {
  it('export the same names', () => {
    expect(Object.keys(platforms.browser).sort()).toEqual(Object.keys(platforms.node).sort())
  })

  it('leave nothing of Node in a bundle for browsers', async () => {
    const result = await build({
      stdin: {
        contents: "export * from '#platform'",
        resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      },
      alias: { '#platform': fileURLToPath(new URL('./browser.ts', import.meta.url)) },
      bundle: true,
      write: false,
      platform: 'browser',
      format: 'esm',
      logLevel: 'silent',
    })
    expect(result.warnings).toEqual([])
    expect(result.outputFiles[0].text).not.toMatch(/node:|worker_threads|sharp|\brequire\(/)
  })

  for (const [name, platform] of Object.entries(platforms)) {
    it(`${name}: lets others have their turn`, async () => {
      let others = 0
      const timer = setInterval(() => others++, 1)
      const pieces = platform.startPieces()
      while (others < 3) if (pieces.over) await pieces.next()
      clearInterval(timer)
      expect(pieces.over).toBe(false)
    })

    it(`${name}: inflates, and no more than asked for`, async () => {
      const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i >> 4) * (i & 3))
      const packed = new Uint8Array(deflateRawSync(content))
      expect(await platform.inflateRaw(packed, content.length)).toEqual(content)
      expect(await platform.inflateRaw(packed, 1000)).toEqual(content.slice(0, 1001))
      expect(await platform.inflateRaw(Uint8Array.of(3, 0), 0)).toEqual(new Uint8Array(0))
      expect(await platform.inflateRaw(Uint8Array.of(255, 1, 2), 10)).toBeUndefined()
      expect(await platform.inflateRaw(packed.subarray(0, 50), content.length)).toBeUndefined()
    })

    it(`${name}: gunzips`, async () => {
      const content = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) % 251)
      expect(await platform.gunzip(gzipSync(content), 'a.gz')).toEqual(content)
      expect(await platform.gunzip(gzipSync(new Uint8Array()), 'a.gz')).toEqual(new Uint8Array())
    })

    it(`${name}: refuses damaged gzip data with the path`, async () => {
      const whole = gzipSync(Uint8Array.from({ length: 1000 }, (_, i) => (i * i) % 251))
      const flipped = Uint8Array.from(whole)
      flipped[flipped.length - 6] ^= 1 // in the checksum
      for (const bytes of [
        whole.subarray(0, whole.length - 9),
        flipped,
        new TextEncoder().encode('<html>'),
        new Uint8Array(),
      ]) {
        const error = await errorOf(() => platform.gunzip(bytes, 'images.gz'))
        expect(error).toBeInstanceOf(FormatError)
        expect(error.message).toMatch(
          /^images\.gz: the gzip data is damaged: .+\n {2}got {7}\d+ bytes that begin with /,
        )
      }
    })
  }
})

describe('files in Node', () => {
  it.runIf(process.platform === 'linux')('gives up on a folder that cannot be made', async () => {
    await expect(node.makeDirectory('/proc/juanji/deep')).rejects.toThrow('cannot make this folder')
  })

  it('makes a folder that others are making at the same time', async () => {
    const path = join(folder, 'many', 'at', 'once')
    await Promise.all(Array.from({ length: 8 }, () => node.makeDirectory(path)))
    expect(await node.isDirectory(path)).toBe(true)
  })

  it('writes, reads, lists, renames and removes', async () => {
    const deep = node.joinPath(folder, 'a', 'b')
    await node.makeDirectory(deep)
    await node.makeDirectory(deep)
    const path = node.joinPath(deep, 'x.bin')
    await node.writeFileAtomic(path, Uint8Array.of(1, 2, 3))
    await node.writeFileAtomic(path, Uint8Array.of(4, 5))
    await node.writeFileAtomic(node.joinPath(deep, 'B.txt'), 'é\n')
    expect(await node.readFile(path)).toEqual(Uint8Array.of(4, 5))
    expect(await node.readFile(node.joinPath(deep, 'B.txt'))).toEqual(Uint8Array.of(0xc3, 0xa9, 10))
    expect(await node.readDirectory(deep)).toEqual(['B.txt', 'x.bin'])
    await node.rename(path, node.joinPath(deep, 'y.bin'))
    expect([await node.exists(path), await node.exists(node.joinPath(deep, 'y.bin'))]).toEqual([false, true])
    expect([await node.isDirectory(deep), await node.isDirectory(path)]).toEqual([true, false])
    await node.removeTree(node.joinPath(folder, 'a'))
    await node.removeTree(node.joinPath(folder, 'a'))
    expect(await node.exists(deep)).toBe(false)
  })

  it('keeps the old file and leaves nothing beside it when writing fails', async () => {
    const target = node.joinPath(folder, 'a-folder')
    await node.makeDirectory(node.joinPath(target, 'inside'))
    const error = await errorOf(() => node.writeFileAtomic(target, 'text'))
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toMatch(/a-folder: cannot write: this is a folder, not a file\.\n {2}fix {7}name a file$/)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('are written in pieces, and are in place only when committed', async () => {
    const path = node.joinPath(folder, 'pieces.csv')
    const lost = await node.openFileAtomic(path)
    await lost.write('never seen')
    await lost.discard()
    expect((await readdir(folder)).filter((name) => name.startsWith('pieces'))).toEqual([])
    const file = await node.openFileAtomic(path)
    await file.write('a,b\n')
    await file.write(Uint8Array.of(0x31, 0x2c, 0x32))
    expect(await node.exists(path)).toBe(false)
    await file.commit()
    expect(new TextDecoder().decode(await node.readFile(path))).toBe('a,b\n1,2')
    expect((await readdir(folder)).filter((name) => name.startsWith('pieces'))).toEqual(['pieces.csv'])
    await node.removeTree(path)
  })

  it('are listed with what they are; links to folders are not followed', async () => {
    const listed = node.joinPath(folder, 'listed')
    await node.makeDirectory(node.joinPath(listed, 'b'))
    await writeFile(join(listed, 'a.txt'), 'hello')
    await symlink('a.txt', join(listed, 'to-file'))
    await symlink('.', join(listed, 'to-itself'))
    await symlink('nowhere', join(listed, 'broken'))
    expect(await node.listDirectory(listed)).toEqual([
      { name: 'a.txt', kind: 'file' },
      { name: 'b', kind: 'folder' },
      { name: 'broken', kind: 'other' },
      { name: 'to-file', kind: 'file' },
      { name: 'to-itself', kind: 'other' },
    ])
    expect(await node.readStart(join(listed, 'a.txt'), 3)).toEqual(Uint8Array.of(0x68, 0x65, 0x6c))
    expect(await node.readStart(join(listed, 'a.txt'), 100)).toHaveLength(5)
    expect((await errorOf(() => node.readStart(join(listed, 'b'), 1))).message).toContain(
      'cannot read: this is a folder',
    )
  })

  it('says which path is missing', async () => {
    const path = node.joinPath(folder, 'none', 'x')
    const fix = '\n  fix       check the path'
    expect((await errorOf(() => node.readFile(path))).message).toBe(
      `${path}: cannot read: there is no such file or folder.${fix}`,
    )
    expect((await errorOf(() => node.writeFileAtomic(path, ''))).message).toBe(
      `${path}: cannot write: there is no such file or folder.${fix}`,
    )
    expect((await errorOf(() => node.readDirectory(path))).message).toContain('cannot list: there is no such file')
    await writeFile(join(folder, 'file'), '')
    expect((await errorOf(() => node.makeDirectory(node.joinPath(folder, 'file')))).message).toContain(
      'cannot make this folder: something else is already there',
    )
    expect((await errorOf(() => node.rename(path, 'y'))).message).toContain('cannot rename to y: there is no such file')
  })

  it('puts the cache where the user says', () => {
    vi.stubEnv('JUANJI_CACHE', '/somewhere')
    expect(node.cacheFolder()).toBe('/somewhere')
    vi.unstubAllEnvs()
    expect(node.cacheFolder()).toMatch(/juanji/)
  })
})

describe('files in a page', () => {
  it('are not available, and the error says what to do', async () => {
    expect((await errorOf(() => browser.readFile('x.bin'))).message).toBe(
      `readFile: a page cannot open files by path.
  got       'x.bin'
  expected  bytes
  fix       fetch the file, or let the user pick it, and pass its bytes as a Uint8Array; or run in Node`,
    )
    const { readDirectory, listDirectory, openFileAtomic, exists, isDirectory, makeDirectory, removeTree } = browser
    const actions = [readDirectory, listDirectory, openFileAtomic, exists, isDirectory, makeDirectory, removeTree]
    for (const action of actions) {
      expect(await errorOf(() => action('x'))).toBeInstanceOf(UnsupportedError)
    }
    expect(await errorOf(() => browser.writeFileAtomic('x', ''))).toBeInstanceOf(UnsupportedError)
    expect(await errorOf(() => browser.readStart('x', 1))).toBeInstanceOf(UnsupportedError)
    expect(await errorOf(() => browser.rename('x', 'y'))).toBeInstanceOf(UnsupportedError)
    expect(() => browser.cacheFolder()).toThrow(UnsupportedError)
    expect(browser.joinPath('a/', '', 'b', '/c')).toBe('a/b/c')
  })
})

describe('decodeImage in Node', () => {
  const pixels = (image: DecodedImage) => ({ ...image, data: [...image.data] })
  const raw = (data: number[], width: number, height: number, channels: 1 | 3 | 4) =>
    sharp(Uint8Array.from(data), { raw: { width, height, channels } })

  it('gives RGB for colour, grey and opaque pictures, RGBA where something shows through', async () => {
    const colour = await raw([255, 0, 0, 0, 255, 0], 2, 1, 3).png().toBuffer()
    expect(pixels(await node.decodeImage(colour, 'a.png'))).toEqual({
      width: 2,
      height: 1,
      channels: 3,
      data: [255, 0, 0, 0, 255, 0],
    })
    const grey = await raw([7, 200], 1, 2, 1).toColourspace('b-w').png().toBuffer()
    expect(pixels(await node.decodeImage(grey, 'a.png'))).toEqual({
      width: 1,
      height: 2,
      channels: 3,
      data: [7, 7, 7, 200, 200, 200],
    })
    const opaque = await raw([1, 2, 3, 255], 1, 1, 4).png().toBuffer()
    expect(pixels(await node.decodeImage(opaque, 'a.png'))).toEqual({
      width: 1,
      height: 1,
      channels: 3,
      data: [1, 2, 3],
    })
    const clear = await raw([1, 2, 3, 128], 1, 1, 4).png().toBuffer()
    expect(pixels(await node.decodeImage(clear, 'a.png'))).toEqual({
      width: 1,
      height: 1,
      channels: 4,
      data: [1, 2, 3, 128],
    })
    const deep = await raw([10, 20, 30], 1, 1, 3).toColourspace('rgb16').png().toBuffer()
    expect(pixels(await node.decodeImage(deep, 'a.png'))).toEqual({
      width: 1,
      height: 1,
      channels: 3,
      data: [10, 20, 30],
    })
  })

  it('turns pictures upright as their EXIF says', async () => {
    const lying = await raw([255, 0, 0, 0, 0, 255], 2, 1, 3).withMetadata({ orientation: 6 }).png().toBuffer()
    expect(pixels(await node.decodeImage(lying, 'a.png'))).toEqual({
      width: 1,
      height: 2,
      channels: 3,
      data: [255, 0, 0, 0, 0, 255],
    })
  })

  it('refuses what is no picture, and half of one', async () => {
    const error = await errorOf(() => node.decodeImage(new TextEncoder().encode('hello world'), 'photos/cat.jpg'))
    expect(error).toBeInstanceOf(FormatError)
    expect(error.message).toBe(
      `photos/cat.jpg: not a picture that can be decoded: Input buffer contains unsupported image format.
  got       11 bytes that begin with "hello wo" (text)
  expected  a JPEG, PNG, WebP, GIF or AVIF file
  fix       remove the file, or save it again as JPEG or PNG`,
    )
    const noise = Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * i * 31) % 256)
    for (const format of ['png', 'jpeg', 'webp'] as const) {
      const whole = await raw(noise, 64, 64, 3).toFormat(format).toBuffer()
      const half = whole.subarray(0, whole.length >> 1)
      expect(await errorOf(() => node.decodeImage(half, 'half')), format).toBeInstanceOf(FormatError)
    }
    expect(await errorOf(() => node.decodeImage(new Uint8Array(), 'empty'))).toBeInstanceOf(FormatError)
  })

  it('says how to install sharp when it is missing', async () => {
    vi.resetModules()
    vi.doMock('sharp', () => {
      throw new Error("Cannot find package 'sharp'")
    })
    const fresh = await import('./node.ts')
    const error = await errorOf(() => fresh.decodeImage(Uint8Array.of(1), 'a.png'))
    vi.doUnmock('sharp')
    vi.resetModules()
    expect(error.name).toBe('UnsupportedError')
    expect(error.message).toMatch(
      /^decodeImage: pictures are decoded by the package sharp, which could not be loaded\./,
    )
    expect(error.message).toMatch(/\n {2}fix {7}npm install sharp$/)
  })
})

it('fromRgba drops an alpha channel that says nothing', () => {
  expect(fromRgba(1, 1, Uint8Array.of(1, 2, 3, 255))).toEqual({
    width: 1,
    height: 1,
    channels: 3,
    data: Uint8Array.of(1, 2, 3),
  })
  expect(fromRgba(1, 1, Uint8Array.of(1, 2, 3, 0)).channels).toBe(4)
})

describe('workers in Node', () => {
  const nextMessage = (worker: PlatformWorker) =>
    new Promise<unknown>((resolve, reject) => {
      worker.onMessage(resolve)
      worker.onError(reject)
    })

  it('answer messages and take buffers by transfer', async () => {
    const worker = node.createWorker(
      `'use strict'
      self.onmessage = ({ data }) => { const view = new Uint8Array(data); view[0]++; self.postMessage(data, [data]) }`,
      'answer',
    )
    worker.ref()
    const answer = nextMessage(worker)
    const buffer = Uint8Array.of(41, 2).buffer
    worker.post(buffer, [buffer])
    expect(buffer.byteLength).toBe(0)
    expect(new Uint8Array((await answer) as ArrayBuffer)).toEqual(Uint8Array.of(42, 2))
    await worker.terminate()
  })

  it('share memory, and end while they wait', async () => {
    const worker = node.createWorker(
      `onmessage = ({ data }) => { const words = new Int32Array(data); Atomics.store(words, 0, 7); postMessage('stored'); Atomics.wait(words, 1, 0) }`,
      'waits',
    )
    const stored = nextMessage(worker)
    const shared = new SharedArrayBuffer(8)
    worker.post(shared)
    expect(await stored).toBe('stored')
    expect(new Int32Array(shared)[0]).toBe(7)
    await worker.terminate()
  })

  it('report what they throw and that they stopped', async () => {
    const thrower = node.createWorker(`throw new RangeError('too far')`, 'thrower')
    await expect(nextMessage(thrower)).rejects.toThrow('too far')
    const stopper = node.createWorker('process.exit(3)', 'stopper')
    await expect(nextMessage(stopper)).rejects.toThrow("worker 'stopper' stopped by itself with exit code 3")
    const wrong = node.createWorker('let = ', 'wrong')
    await expect(nextMessage(wrong)).rejects.toThrow(SyntaxError)
  })

  it('let the process end, unless they are held', () => {
    const program = (hold: string) => `
      import { createWorker } from ${JSON.stringify(new URL('./node.ts', import.meta.url).href)}
      createWorker('onmessage = () => undefined', 'never asked').onMessage(() => undefined)
      const worker = createWorker('onmessage = ({ data }) => postMessage(data + 1)', 'idle')
      worker.onMessage((message) => { console.log(message); worker.unref() })
      ${hold}
      worker.post(1)
      setTimeout(() => {}, 0)`
    const run = (hold: string) =>
      spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(hold)], {
        encoding: 'utf8',
        timeout: 30_000,
      })
    const held = run('worker.ref()')
    expect([held.status, held.stdout, held.stderr]).toEqual([0, '2\n', ''])
    expect(run('').status).toBe(0)
  })
})

describe('picture workers in Node', () => {
  const average = `() => ({ toSample: ({ data }, height, width, channels) =>
    new Uint8Array(height * width * channels).fill(data.reduce((a, b) => a + b, 0) / data.length) })`
  let worker: PlatformWorker
  const answers = new Map<number, (answer: PictureAnswer) => void>()
  let asked = 0
  const ask = (job: PictureJob, path: string, size = {}) => {
    const answer = new Promise<PictureAnswer>((resolve) => answers.set(asked, resolve))
    worker.post({ id: asked++, job, input: { path, ...size } })
    return answer
  }
  const inFolder = (name: string) => join(folder, 'pictures', name)
  const write = (name: string, content: Uint8Array | string) => writeFile(inFolder(name), content)

  beforeAll(async () => {
    await node.makeDirectory(inFolder('inside'))
    worker = await node.startPictureWorker(average, 'pictures')
    worker.ref()
    worker.onMessage((message) => answers.get((message as PictureAnswer).id)?.(message as PictureAnswer))
    const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: '#0a141e' } })
    await write('b.txt', await picture.clone().withMetadata({ orientation: 6 }).png().toBuffer())
    await write('a.png', 'hello world')
    await write('empty.png', '')
    await write('drawing.png', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    const noise = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * i * 31) % 256)
    const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer()
    await write('half.jpg', whole.subarray(0, whole.length >> 1))
  })
  afterAll(() => worker.terminate())

  it('list folders, links followed', async () => {
    await symlink(inFolder('inside'), inFolder('link'))
    await symlink(inFolder('nothing'), inFolder('broken'))
    const { output } = await ask('list', join(folder, 'pictures'))
    const { identity, entries } = output as FolderListing
    expect(entries.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'a.png file',
      'b.txt file',
      'broken other',
      'drawing.png file',
      'empty.png file',
      'half.jpg file',
      'inside folder',
      'link folder',
    ])
    const [inside, link] = await Promise.all([ask('list', inFolder('inside')), ask('list', inFolder('link'))])
    expect((inside.output as FolderListing).identity).toBe((link.output as FolderListing).identity)
    expect((inside.output as FolderListing).identity).not.toBe(identity)
  })

  it('tell pictures by their content, upright, without decoding', async () => {
    const { output } = await ask('header', inFolder('b.txt'))
    expect(output).toMatchObject({ height: 30, width: 20, grey: false, startIsAll: true })
    const failures = ['a.png', 'empty.png', 'drawing.png', 'none.png', 'inside']
    const answers = await Promise.all(failures.map((name) => ask('header', inFolder(name))))
    expect(answers.map(({ failure }) => [failure?.kind, failure?.reason])).toEqual([
      ['damaged', 'no picture'],
      ['damaged', 'an empty file'],
      ['damaged', 'a picture in the format svg, which is no photograph'],
      ['missing', 'there is no such file'],
      ['closed', 'EISDIR: illegal operation on a directory, read'],
    ])
    expect(answers[0].failure?.start).toEqual(new TextEncoder().encode('hello wo'))
  })

  it('make samples and sums over files', async () => {
    const { output } = await ask('sample', inFolder('b.txt'), { height: 1, width: 2, channels: 3 })
    expect(output).toEqual(new Uint8Array(6).fill(20))
    const half = await ask('sample', inFolder('half.jpg'), { height: 1, width: 2, channels: 3 })
    expect(half.failure).toMatchObject({ kind: 'damaged', start: undefined })
    // printf 'hello world' | sha256sum
    expect((await ask('digest', inFolder('a.png'))).output).toBe(
      'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9',
    )
  })

  it('tell a mistake of ours from a damaged picture', async () => {
    const { failure } = await ask('sample', inFolder('b.txt'), { height: -1, width: 2, channels: 3 })
    expect(failure).toEqual({ kind: 'fault', reason: 'Invalid typed array length: -6' })
  })

  it('are not there in a page', async () => {
    expect((await errorOf(() => browser.startPictureWorker('', ''))).message).toBe(
      `image folder: a page cannot read folders.
  expected  samples
  fix       decode the pictures in the page and pass them with arrayDataset or makeDataset; or run in Node`,
    )
  })
})

it('knows the machine', () => {
  expect(node.hardwareThreads()).toBeGreaterThanOrEqual(1)
  expect(node.residentBytes()).toBeGreaterThan(1e6)
  expect(browser.residentBytes()).toBeUndefined()
  expect(node.memoryBytes()).toBeGreaterThan(1e8)
  expect(node.memoryBytes()).toBeLessThanOrEqual(totalmem())
  expect(browser.memoryBytes()).toBeUndefined()
  vi.stubEnv('JUANJI_TEST', 'x')
  expect([node.environment('JUANJI_TEST'), browser.environment('JUANJI_TEST')]).toEqual(['x', undefined])
  vi.unstubAllEnvs()
  for (const platform of Object.values(platforms)) {
    const start = platform.now()
    expect(platform.now()).toBeGreaterThanOrEqual(start)
  }
})
