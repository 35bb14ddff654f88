import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeTar } from '../../test/tar.ts'
import { FormatError } from '../base/errors.ts'
import { errorText } from '../testing/error-text.ts'
import { readTar } from './tar.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const read = (tar: Uint8Array) =>
  [...readTar(tar, 'a.tar')].map(({ name, data }) => [name, Buffer.from(data).toString()])
const textOf = (tar: Uint8Array) => errorText(() => read(tar))

describe('readTar', () => {
  it('gives the regular files in their order', () => {
    const tar = makeTar([
      { name: 'folder/', type: '5' },
      { name: 'folder/a', data: bytes('hello') },
      { name: 'pax', type: 'x', data: bytes('18 mtime=12345678\n') },
      { name: 'empty' },
      { name: 'link', type: '2' },
      { name: 'old', type: '\0', data: bytes('x'.repeat(512)) },
      { name: 'contiguous', type: '7', data: bytes('y') },
    ])
    expect(read(tar)).toEqual([
      ['folder/a', 'hello'],
      ['empty', ''],
      ['old', 'x'.repeat(512)],
      ['contiguous', 'y'],
    ])
  })

  it('puts long paths together as POSIX has them, and does not for GNU', () => {
    expect(read(makeTar([{ name: 'b', prefix: 'very/long' }]))).toEqual([['very/long/b', '']])
    expect(read(makeTar([{ name: 'b', prefix: '123', magic: 'ustar  \0' }]))).toEqual([['b', '']])
    expect(read(makeTar([{ name: 'n'.repeat(100) }]))).toEqual([['n'.repeat(100), '']])
  })

  it('needs no end, and looks at nothing behind it', () => {
    const tar = makeTar([{ name: 'a', data: bytes('hello') }])
    expect(read(tar.subarray(0, tar.length - 1024))).toEqual([['a', 'hello']])
    expect(read(tar.subarray(0, 512 + 5))).toEqual([['a', 'hello']])
    expect(read(Buffer.concat([tar, bytes('whatever')]))).toEqual([['a', 'hello']])
    expect(read(new Uint8Array())).toEqual([])
  })

  it('says what is wrong and where', () => {
    const tar = makeTar([
      { name: 'a', data: bytes('hello') },
      { name: 'b', data: bytes('world') },
    ])
    expect(textOf(bytes('<html>'.repeat(100)))).toBe(
      `FormatError: a.tar: not a tar archive (at byte offset 0).
  got       a header that begins with "<html><h" (HTML or XML)
  expected  a header whose checksum is right
  fix       get the file again`,
    )
    const damaged = Uint8Array.from(tar)
    damaged[1024 + 100] ^= 1
    expect(textOf(damaged)).toBe(
      `FormatError: a.tar: the archive is damaged (at byte offset 1024).
  got       a header that begins with 62 00 00 00 00 00 00 00
  expected  a header whose checksum is right
  fix       get the file again`,
    )
    expect(textOf(tar.subarray(0, 1024 + 512 + 3))).toBe(
      `FormatError: a.tar: the file ends inside 'b' (at byte offset 1536).
  got       3 of 5 bytes
  expected  at least 1541 bytes in all, found 1539
  fix       the file is cut short or not of this format: get it again`,
    )
    expect(textOf(tar.subarray(0, 1024 + 100))).toContain(
      'the file ends inside a header of the archive (at byte offset 1024)',
    )
    const sized = Buffer.from(makeTar([{ name: 'a' }]))
    sized.write('9', 124)
    const sum = sized.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0)
    sized.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    expect(textOf(sized)).toBe(
      `FormatError: a.tar: the size of a file in the archive is no octal number (at byte offset 124).
  got       "90000000" (text)
  expected  octal digits
  fix       check that the file is complete and of this format`,
    )
  })

  it('reads or refuses whatever it is given', () => {
    const tar = makeTar([
      { name: 'a', data: bytes('hello') },
      { name: 'b', data: bytes('x'.repeat(600)) },
    ])
    const change = fc.tuple(fc.nat(tar.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(change, { maxLength: 5 }), fc.nat(tar.length), (changes, length) => {
        const mutated = Uint8Array.from(tar)
        for (const [at, byte] of changes) mutated[at] = byte
        try {
          let size = 0
          for (const { data } of readTar(mutated.subarray(0, length), 'a.tar')) size += data.length
          expect(size).toBeLessThanOrEqual(length)
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
    )
  })
})

describe('what the program tar writes', () => {
  it.for(['gnu', 'ustar', 'pax', 'v7'])('in the format %s', async (format, context) => {
    const folder = await mkdtemp(join(tmpdir(), 'juanji-tar-'))
    try {
      await mkdir(join(folder, 'inner'))
      await writeFile(join(folder, 'inner', 'a'), 'hello')
      await writeFile(join(folder, 'b'), 'x'.repeat(10_000))
      const argv = [`--format=${format}`, '--sort=name', '-cf', 'all.tar', 'b', 'inner']
      try {
        execFileSync('tar', argv, { cwd: folder, stdio: 'pipe' })
      } catch (error) {
        context.skip(`there is no GNU tar: ${(error as Error).message.split('\n')[0]}`)
      }
      expect(read(await readFile(join(folder, 'all.tar')))).toEqual([
        ['b', 'x'.repeat(10_000)],
        ['inner/a', 'hello'],
      ])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
