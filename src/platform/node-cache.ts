/** Files of the cache in Node: complete ones, and those that are being filled by one process at a time. */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError } from '../base/errors.ts'
import type { CachedFile, OpenPartialOptions, PartialFile, PartialNote } from './download.ts'
import { guarded, readFile, syncDirectory } from './node-files.ts'

/** Tells in errors of the file system that the cache can be elsewhere. */
export async function inCache<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { problem } = error
    throw new ConfigError({ ...problem, fix: `${problem.fix}; JUANJI_CACHE names another folder for downloads` })
  }
}

/** A complete file, or undefined. */
export async function cachedFileAt(path: string): Promise<CachedFile | undefined> {
  const stat = await fs.stat(path).catch(() => undefined)
  return stat?.isFile() ? { path, read: () => readFile(path) } : undefined
}

// ── one process at a time ──

/** How a lock is kept and judged, in milliseconds; tests are less patient. */
export interface LockTiming {
  /** The owner touches the lock so often. */
  readonly beatMs: number
  /** A lock that nobody touched while it was looked at for so long is abandoned. */
  readonly abandonedMs: number
  /** Who waits looks so often. */
  readonly lookMs: number
}

const lockTiming: LockTiming = { beatMs: 2_000, abandonedMs: 15_000, lookMs: 250 }

interface Lock {
  /** Whether an abandoned lock was in the way: its owner may be alive after all. */
  readonly takenOver: boolean
  /** Whether it is still ours: another process takes it over when this one was stopped for long. */
  held(): Promise<boolean>
  release(): Promise<void>
}

/**
 * A lock is a file that names its owner and is touched while the owner lives. That works between containers and on
 * network disks as well, where process numbers and the system's locks say nothing.
 */
async function lock(path: string, partPath: string, options: OpenPartialOptions, timing: LockTiming): Promise<Lock> {
  const { signal, onWait } = options
  const owner = JSON.stringify({ host: hostname(), process: process.pid, key: randomUUID() })
  let takenOver = false
  let seen = ''
  // Looks and not time: the clock goes on while a machine sleeps, its owner and this one do not.
  let unchanged = 0
  while (!(await createWith(path, owner))) {
    signal?.throwIfAborted()
    const state = await look(path)
    if (state === undefined) continue
    unchanged = state.seen === seen ? unchanged + 1 : 0
    seen = state.seen
    if (isDead(state.owner) || unchanged * timing.lookMs > timing.abandonedMs) {
      takenOver = true
      await removeLock(path, state.owner)
      continue
    }
    onWait?.((await fs.stat(partPath).catch(() => undefined))?.size ?? 0)
    await delay(timing.lookMs, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
  const beat = setInterval(() => {
    const now = new Date()
    fs.utimes(path, now, now).catch(() => undefined)
  }, timing.beatMs)
  beat.unref()
  const held = async () => (await look(path).catch(() => undefined))?.owner === owner
  return {
    takenOver,
    held,
    async release() {
      clearInterval(beat)
      if (await held()) await fs.rm(path, { force: true }).catch(() => undefined)
    },
  }
}

/** Makes a file that must not exist yet; false when it does. */
async function createWith(path: string, content: string): Promise<boolean> {
  const file = await fs.open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined
    throw error
  })
  if (file === undefined) return false
  try {
    await file.writeFile(content)
    return true
  } catch (error) {
    await fs.rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** What a lock says and when it was touched; undefined when there is none. */
async function look(path: string): Promise<{ owner: string; seen: string } | undefined> {
  try {
    const [owner, { mtimeMs }] = await Promise.all([fs.readFile(path, 'utf8'), fs.stat(path)])
    return { owner, seen: `${owner} ${mtimeMs}` }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Whether the owner ran on this machine and runs no longer. */
function isDead(owner: string): boolean {
  try {
    const { host, process: id } = JSON.parse(owner)
    if (host === hostname() && Number.isSafeInteger(id)) process.kill(id, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Removes an abandoned lock. It is moved aside first, so that only one of several who wait does it. */
async function removeLock(path: string, owner: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await fs.rename(path, aside)
    // Somebody was faster, and this is the next owner's: it goes back.
    if ((await fs.readFile(aside, 'utf8')) !== owner) await fs.link(aside, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
  } finally {
    await fs.rm(aside, { force: true }).catch(() => undefined)
  }
}

// ── a file that is being filled ──

/**
 * Opens `path` to be filled: its bytes are in `path.part` and what they belong to in `path.part.json` until it is
 * finished. Waits while another process fills it. The folder must exist.
 * @throws ConfigError naming the path when the file system refuses, the signal's reason when that is aborted
 */
export async function openPartialAt(
  path: string,
  options: OpenPartialOptions = {},
  timing: LockTiming = lockTiming,
): Promise<PartialFile> {
  const partPath = `${path}.part`
  const lockPath = `${path}.lock`
  const held = await lock(lockPath, partPath, options, timing).catch((error: unknown) => {
    options.signal?.throwIfAborted()
    return inCache(() => guarded('write', lockPath, () => Promise.reject(error)))
  })
  try {
    return await inCache(() => guarded('write', partPath, () => openPart(path, partPath, held)))
  } catch (error) {
    await held.release()
    throw error
  }
}

async function openPart(path: string, partPath: string, held: Lock): Promise<NodePartialFile> {
  // Should the other owner be alive after all, it must not write into what is filled here.
  if (held.takenOver) await replaceByCopy(partPath)
  const file = await fs.open(partPath, 'a+')
  const { size } = await file.stat()
  return new NodePartialFile(path, file, held, size, await readNote(`${partPath}.json`))
}

async function replaceByCopy(path: string): Promise<void> {
  const copy = `${path}.${randomUUID()}`
  try {
    await fs.copyFile(path, copy)
    await fs.rename(copy, path)
  } catch (error) {
    await fs.rm(copy, { force: true })
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** The note beside a partial file; undefined when there is none that makes sense. */
async function readNote(path: string): Promise<PartialNote | undefined> {
  try {
    const { url, validator, total, encoded } = JSON.parse(await fs.readFile(path, 'utf8'))
    if (typeof url !== 'string') return undefined
    return {
      url,
      ...(typeof validator === 'string' ? { validator } : {}),
      ...(Number.isSafeInteger(total) ? { total } : {}),
      ...(encoded === true ? { encoded } : {}),
    }
  } catch {
    return undefined
  }
}

class NodePartialFile implements PartialFile {
  readonly path: string
  readonly #part: string
  readonly #file: fs.FileHandle
  readonly #lock: Lock
  #size: number
  #note: PartialNote | undefined
  #open = true

  constructor(path: string, file: fs.FileHandle, lock: Lock, size: number, note: PartialNote | undefined) {
    this.path = path
    this.#part = `${path}.part`
    this.#file = file
    this.#lock = lock
    this.#size = size
    this.#note = size === 0 ? undefined : note
  }

  get size(): number {
    return this.#size
  }

  get note(): PartialNote | undefined {
    return this.#note
  }

  async begin(note: PartialNote): Promise<void> {
    await this.discard()
    // In this order a crash leaves no bytes, or bytes with the note that they belong to.
    if (await this.#lock.held()) {
      await this.#guarded(() => fs.writeFile(`${this.#part}.json`, JSON.stringify(note)))
    }
    this.#note = note
  }

  append(bytes: Uint8Array): Promise<void> {
    return this.#guarded(async () => {
      await this.#file.appendFile(bytes)
      this.#size += bytes.length
    })
  }

  /** Through the open file: the name belongs to somebody else when the lock was lost. */
  read(): Promise<Uint8Array> {
    return guarded('read', this.#part, async () => {
      const bytes = new Uint8Array(this.#size)
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await this.#file.read(bytes, at, bytes.length - at, at)
        if (bytesRead === 0) throw new Error('it became shorter')
        at += bytesRead
      }
      return bytes
    })
  }

  async finish(): Promise<CachedFile | undefined> {
    const renamed = await this.#guarded(async () => {
      await this.#file.sync()
      await this.#close()
      if (!(await this.#lock.held())) return false
      await fs.rename(this.#part, this.path)
      await fs.rm(`${this.#part}.json`, { force: true })
      await syncDirectory(dirname(this.path))
      return true
    })
    return renamed ? cachedFileAt(this.path) : undefined
  }

  async discard(): Promise<void> {
    this.#note = undefined
    if (this.#size === 0) return
    await this.#guarded(() => this.#file.truncate(0))
    this.#size = 0
  }

  async release(): Promise<void> {
    await this.#close()
    if (this.#size === 0 && (await this.#lock.held())) {
      for (const path of [this.#part, `${this.#part}.json`]) await fs.rm(path, { force: true }).catch(() => undefined)
    }
    await this.#lock.release()
  }

  async #close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#file.close()
  }

  #guarded<T>(action: () => Promise<T>): Promise<T> {
    return inCache(() => guarded('write', this.#part, action))
  }
}
