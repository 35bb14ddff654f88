import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cachedFileAt, type LockTiming, openPartialAt } from './node-cache.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-cache-'))
  path = join(folder, 'file.gz')
})
afterEach(() => rm(folder, { recursive: true }))

const bytes = (text: string) => new TextEncoder().encode(text)
const note = { url: 'http://example.invalid/file.gz', total: 6, validator: '"1"' }
const quick: LockTiming = { beatMs: 5, abandonedMs: 60_000, lookMs: 2 }

describe('a partial file', () => {
  it('keeps its bytes and what they belong to until it is finished', async () => {
    const first = await openPartialAt(path)
    expect([first.size, first.note]).toEqual([0, undefined])
    await first.begin(note)
    await first.append(bytes('abc'))
    await first.release()
    expect(await cachedFileAt(path)).toBeUndefined()

    const second = await openPartialAt(path)
    expect([second.size, second.note]).toEqual([3, note])
    await second.append(bytes('def'))
    expect(await second.read()).toEqual(bytes('abcdef'))
    const done = await second.finish()
    await second.release()
    expect(done?.path).toBe(path)
    expect(await done?.read()).toEqual(bytes('abcdef'))
    expect(await readdir(folder)).toEqual(['file.gz'])
  })

  it('begins anew, and leaves nothing when it is empty', async () => {
    const file = await openPartialAt(path)
    await file.begin(note)
    await file.append(bytes('abc'))
    await file.begin({ url: 'http://example.invalid/other' })
    expect([file.size, file.note]).toEqual([0, { url: 'http://example.invalid/other' }])
    await file.append(bytes('x'))
    expect(await file.read()).toEqual(bytes('x'))
    await file.discard()
    await file.release()
    expect(await readdir(folder)).toEqual([])
  })
})

describe('the lock', () => {
  const lockOf = (host: string, id: number) => JSON.stringify({ host, process: id, key: 'k' })
  /** The number of a process that ended: that of none is as big as the largest there can be. */
  const noProcess = 2 ** 31 - 1

  it('makes others wait while its owner lives', async () => {
    const first = await openPartialAt(path, {}, quick)
    await first.begin(note)
    await first.append(bytes('abc'))
    const seen: number[] = []
    const second = openPartialAt(path, { onWait: (size) => seen.push(size) }, { ...quick, abandonedMs: 200 })
    // Longer than a lock is left alone: the beats of its owner keep it.
    await new Promise((resolve) => setTimeout(resolve, 400))
    await first.finish()
    await first.release()
    await (await second).release()
    expect(seen[0]).toBe(3)
    expect(await readdir(folder)).toEqual(['file.gz'])
  })

  it('of a process that ended counts for nothing', async () => {
    await writeFile(`${path}.lock`, lockOf(hostname(), noProcess))
    await (await openPartialAt(path, {}, quick)).release()
    expect(await readdir(folder)).toEqual([])
  })

  it.each([
    ['of another machine', lockOf('elsewhere', noProcess)],
    ['of a process that lives', lockOf(hostname(), process.pid)],
    ['that says nothing', ''],
    ['that says something else', '[1]'],
  ])('%s counts until it was left alone for long', async (_, owner) => {
    await writeFile(`${path}.lock`, owner)
    let touched = 0
    const onWait = () => {
      touched++
      const time = new Date(2020, 0, touched)
      if (touched < 20) utimes(`${path}.lock`, time, time).catch(() => undefined)
    }
    const file = await openPartialAt(path, { onWait }, { ...quick, lookMs: 10, abandonedMs: 100 })
    expect(touched).toBeGreaterThanOrEqual(20)
    await file.release()
    expect(await readdir(folder)).toEqual([])
  })

  it('is let alone when waiting is stopped', async () => {
    await writeFile(`${path}.lock`, lockOf('elsewhere', 1))
    const controller = new AbortController()
    const onWait = () => controller.abort(new Error('stopped'))
    await expect(openPartialAt(path, { onWait, signal: controller.signal }, quick)).rejects.toThrow('stopped')
    expect(await readdir(folder)).toEqual(['file.gz.lock'])
  })

  it('can be lost by a process that was stopped; it does the next owner no harm', async () => {
    const stopped = await openPartialAt(path, {}, { ...quick, beatMs: 60_000 })
    await stopped.begin(note)
    await stopped.append(bytes('abc'))
    const next = await openPartialAt(path, {}, { ...quick, abandonedMs: 20 })
    expect([next.size, next.note]).toEqual([3, note])

    await stopped.append(bytes('XYZ'))
    await stopped.begin({ url: 'http://example.invalid/other' })
    await stopped.append(bytes('12345678'))
    expect(await stopped.read()).toEqual(bytes('12345678'))
    expect(await stopped.finish()).toBeUndefined()
    await stopped.release()

    await next.append(bytes('def'))
    const done = await next.finish()
    await next.release()
    expect(await done?.read()).toEqual(bytes('abcdef'))
    expect(await readdir(folder)).toEqual(['file.gz'])
  })

  it('that cannot be read is no reason to wait', async () => {
    await mkdir(`${path}.lock`)
    await expect(openPartialAt(path, {}, quick)).rejects.toThrow(
      `${path}.lock: cannot write: this is a folder, not a file.`,
    )
  })

  it('is taken over by one of many', async () => {
    await writeFile(`${path}.lock`, lockOf('elsewhere', 1))
    await writeFile(`${path}.part`, 'x')
    let open = 0
    const take = async () => {
      const file = await openPartialAt(path, {}, { ...quick, abandonedMs: 20 })
      expect(++open).toBe(1)
      await file.append(bytes('y'))
      await new Promise((resolve) => setTimeout(resolve, 5))
      open--
      await file.release()
    }
    await Promise.all(Array.from({ length: 10 }, take))
    expect(await readFile(`${path}.part`, 'utf8')).toBe(`x${'y'.repeat(10)}`)
    expect(await readdir(folder)).toEqual(['file.gz.part'])
  })
})

it('says which file cannot be written, and where else it could be', async () => {
  const error = await openPartialAt(join(folder, 'no', 'file.gz')).catch((thrown: Error) => thrown)
  expect(`${(error as Error).name}: ${(error as Error).message}`).toBe(
    `ConfigError: ${join(folder, 'no', 'file.gz')}.lock: cannot write: there is no such file or folder.
  fix       check the path; JUANJI_CACHE names another folder for downloads`,
  )
})
