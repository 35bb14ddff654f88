import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { openRange } from '#platform'
import { FormatError, UnsupportedError } from '../base/errors.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../testing/mutate.ts'
import { writeZip, type ZipInput } from '../testing/write-zip.ts'
import { crc32, openZip } from './zip.ts'

const text = (words: string) => new TextEncoder().encode(words)
const open = async (bytes: Uint8Array) => openZip(await openRange(bytes, 'a.zip'))
const deflated = (bytes: Uint8Array) => ({ method: 8, bytes: new Uint8Array(deflateRawSync(bytes)) })

const long = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) >> 7)
const files: readonly ZipInput[] = [
  { name: 'folder/', bytes: new Uint8Array(0) },
  { name: 'folder/stored', bytes: text('as it is'), padding: 21 },
  { name: 'größe', bytes: long, packed: deflated(long) },
  { name: 'empty', bytes: new Uint8Array(0), packed: deflated(new Uint8Array(0)) },
  { name: '../../outside', bytes: text('a name, no path') },
]

async function messageOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action()
  } catch (error) {
    if (error instanceof FormatError || error instanceof UnsupportedError) return error.message
    throw error
  }
  throw new Error('nothing was thrown')
}

/** With the first occurrence of some bytes replaced. */
function patched(bytes: Uint8Array, find: readonly number[], at: number, ...put: readonly number[]): Uint8Array {
  const start = bytes.findIndex((_, i) => find.every((byte, k) => bytes[i + k] === byte))
  expect(start).toBeGreaterThanOrEqual(0)
  const changed = bytes.slice()
  changed.set(put, start + at)
  return changed
}

describe('openZip', () => {
  it('reads stored and deflated entries, with sizes of 32 and 64 bits', async () => {
    for (const wide of [false, true]) {
      const bytes = writeZip(files, { wide })
      const { entries, path } = await open(bytes)
      expect(path).toBe('a.zip')
      expect([...entries.keys()]).toEqual(['folder/stored', 'größe', 'empty', '../../outside'])
      for (const { name, bytes: expected } of files.slice(1)) {
        const entry = entries.get(name)!
        expect([entry.name, entry.size]).toEqual([name, expected.length])
        expect([...(await entry.read())]).toEqual([...expected])
      }
      const stored = entries.get('folder/stored')!
      expect(stored.stored).toBe(true)
      const start = await stored.start()
      expect([...bytes.subarray(start, start + stored.size)]).toEqual([...text('as it is')])
      expect(entries.get('größe')!.stored).toBe(false)
    }
  })

  it('reads an archive of nothing, and one with a comment', async () => {
    expect((await open(writeZip([]))).entries.size).toBe(0)
    const bytes = writeZip(files)
    const commented = new Uint8Array(bytes.length + 3)
    commented.set(bytes)
    commented.set([3, 0, 7, 7, 7], bytes.length - 2)
    expect((await open(commented)).entries.size).toBe(4)
  })

  it('knows the sum', () => {
    expect(crc32(text('123456789'))).toBe(0xcbf43926)
  })
})

describe('openZip refuses', () => {
  it('what is no archive or not whole', async () => {
    expect(await messageOf(() => open(text('no archive at all')))).toBe(
      `a.zip: the end of a zip archive is not there (at byte offset 0).
  got       17 bytes without the end of a directory
  expected  the end of the directory, at the end of the file
  fix       the archive is damaged or not a zip archive: get it again`,
    )
    const bytes = writeZip(files)
    expect(await messageOf(() => open(bytes.subarray(0, -1)))).toContain('the end of a zip archive is not there')
    expect(await messageOf(() => open(bytes.subarray(1)))).toContain('the directory is not where the end')
    expect(await messageOf(() => open(patched(bytes, [0x50, 0x4b, 5, 6], 4, 1)))).toContain('a part of several')
    const wide = writeZip(files, { wide: true })
    expect(await messageOf(() => open(patched(wide, [0x50, 0x4b, 6, 7], 8, 255, 255)))).toContain(
      'the 64-bit end of the directory is not where it should be',
    )
  })

  it('names that come twice', async () => {
    const twice = writeZip([
      { name: 'a', bytes: text('1') },
      { name: 'a', bytes: text('2') },
    ])
    expect(await messageOf(() => open(twice))).toMatch(
      /^a\.zip: the archive holds "a" twice \(at byte offset 111\)\.\n {2}expected {2}each name once/,
    )
  })

  it('bombs: entries that overlap, sizes beyond what deflate reaches, more than was said', async () => {
    const zeros = new Uint8Array(1 << 20)
    const bomb = writeZip([{ name: 'bomb', bytes: zeros, packed: deflated(zeros) }])
    const { entries } = await open(bomb)
    expect((await entries.get('bomb')!.read()).length).toBe(1 << 20)
    expect(await messageOf(() => entries.get('bomb')!.read(1000))).toContain(
      `entry "bomb" is larger than makes sense (at byte offset ${30 + 4 + deflated(zeros).bytes.length}).
  got       1048576 bytes
  expected  at most 1000`,
    )
    // The directory's size of the entry, 24 bytes into its record.
    const directory = [0x50, 0x4b, 1, 2]
    const smaller = await open(patched(bomb, directory, 24, 100, 0, 0, 0))
    expect(await messageOf(() => smaller.entries.get('bomb')!.read())).toContain('entry "bomb" is damaged')
    expect(await messageOf(() => open(patched(bomb, directory, 24, 255, 255, 255, 127)))).toContain(
      'entry "bomb" cannot have this size',
    )
    const two = writeZip([
      { name: 'a', bytes: text('first') },
      { name: 'b', bytes: text('other') },
    ])
    expect(await messageOf(() => open(patched(two, directory, 20, 50, 0, 0, 0, 50)))).toContain(
      'entry "a" reaches into what follows it',
    )
  })

  it('damage, encryption and other methods', async () => {
    const bytes = writeZip(files)
    const damaged = await open(patched(bytes, [...text('as it')], 0, 65))
    expect(await messageOf(() => damaged.entries.get('folder/stored')!.read())).toMatch(
      /^a\.zip: entry "folder\/stored" is damaged \(at byte offset \d+\)\.\n {2}got {7}8 bytes with another sum\n/,
    )
    const encrypted = await open(writeZip([{ name: 'a', bytes: text('x'), flags: 1 }]))
    expect(encrypted.entries.get('a')!.stored).toBe(false)
    expect(await messageOf(() => encrypted.entries.get('a')!.read())).toContain('entry "a" is encrypted')
    const bzip = await open(writeZip([{ name: 'a', bytes: text('x'), packed: { method: 12, bytes: text('y') } }]))
    expect(await messageOf(() => bzip.entries.get('a')!.read())).toBe(
      `a.zip: entry "a" is packed by a method that is not known here.
  got       method 12, bzip2
  expected  entries that are stored or deflated
  fix       unpack the archive and pack it again without encryption, by deflate`,
    )
  })

  it(
    'whatever happened to the bytes, with a FormatError',
    async () => {
      await expectHostileSafe(
        async (bytes) => {
          const { entries } = await openZip(await openRange(bytes, 'hostile'))
          for (const entry of entries.values()) await entry.read(1 << 24)
        },
        [writeZip(files), writeZip(files, { wide: true })],
      )
    },
    hostileTimeoutMs,
  )
})
