import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as browser from './browser.ts'
import { openRange } from './node.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-ranges-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const bytes = Uint8Array.from({ length: 40 }, (_, i) => i)

describe('openRange', () => {
  it('reads the same from a file, a Blob and memory, here and in a page', async () => {
    const path = join(folder, 'forty')
    await writeFile(path, bytes)
    for (const open of [
      () => openRange(path, 'forty'),
      () => openRange(bytes, 'forty'),
      () => openRange(new Blob([bytes]), 'forty'),
      () => browser.openRange(bytes, 'forty'),
      () => browser.openRange(new Blob([bytes]), 'forty'),
    ]) {
      const range = await open()
      expect([range.path, range.size]).toEqual(['forty', 40])
      expect([...(await range.read(3, 4))]).toEqual([3, 4, 5, 6])
      expect((await range.read(40, 0)).length).toBe(0)
      const into = new Uint8Array(4)
      await range.readInto(38, into.subarray(1, 3))
      expect([...into]).toEqual([0, 38, 39, 0])
      await expect(range.read(38, 3)).rejects.toThrow(
        `forty: the file ends before what is to be read (at byte offset 38).
  got       40 bytes in all
  expected  3 bytes from offset 38 on
  fix       the file is cut short or not of this format: get it again`,
      )
      await expect(range.readInto(-1, into)).rejects.toThrow('at byte offset -1')
      await expect(range.read(2 ** 53, 1)).rejects.toThrow('the file ends before')
      await range.close()
    }
  })

  it('takes the name of a file that was picked', async () => {
    const picked = new File([bytes], 'picked.pth')
    expect((await openRange(picked)).path).toBe('picked.pth')
    expect((await browser.openRange(picked)).path).toBe('picked.pth')
    expect((await openRange(new Blob([bytes]))).path).toBe('file')
    expect((await openRange(bytes)).path).toBe('bytes')
  })

  it('reads beyond 4 GiB, and one piece of more than 2 GiB is no limit of positions', async () => {
    const path = join(folder, 'large')
    const file = await open(path, 'w')
    await file.truncate(5 * 2 ** 30)
    await file.write(Uint8Array.of(1, 2, 3), 0, 3, 2 ** 31 - 1)
    await file.write(Uint8Array.of(4, 5, 6), 0, 3, 2 ** 32 - 1)
    await file.close()
    const range = await openRange(path)
    expect(range.size).toBe(5 * 2 ** 30)
    expect([...(await range.read(2 ** 31 - 2, 5))]).toEqual([0, 1, 2, 3, 0])
    expect([...(await range.read(2 ** 32 - 2, 5))]).toEqual([0, 4, 5, 6, 0])
    await expect(range.read(0, 2 ** 32 + 1)).rejects.toThrow(
      'a piece is too long for one array of bytes (at byte offset 0)',
    )
    await range.close()
    await rm(path)
  })

  it('names what is not there, is no file, or shrinks meanwhile', async () => {
    const missing = join(folder, 'missing')
    await expect(openRange(missing)).rejects.toThrow(`${missing}: cannot read: there is no such file or folder.`)
    await expect(openRange(folder)).rejects.toThrow(`${folder}: cannot read: this is a folder, not a file.`)
    const path = join(folder, 'shrinking')
    await writeFile(path, bytes)
    const range = await openRange(path)
    await truncate(path, 10)
    await expect(range.read(5, 20)).rejects.toThrow('the file became shorter while it was read (at byte offset 10)')
    await range.close()
    await expect(browser.openRange('a.bin')).rejects.toThrow('a page cannot open files by path')
  })
})
