/** Node's side of machine code made at run time: finding and running a C compiler, keeping and loading its libraries. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { UnsupportedError } from '../base/errors.ts'
import type { Compiler, CompilerOutcome, LibraryCache, NativeTools } from './native.ts'
import { makeWithParents } from './node-files.ts'

/** At most so many libraries, and so many bytes of them, are kept; the longest unused go first. */
const keptLibraries = 4096
const keptBytes = 256 * 2 ** 20
/** A file that was being written and is older than this was left by a process that died. */
const abandonedMs = 3_600_000
/** A library that is used says so at most this often. */
const touchMs = 24 * 3_600_000

/** @throws UnsupportedError on Windows */
export function openNativeTools(): NativeTools {
  if (process.platform === 'win32') {
    throw new UnsupportedError({
      where: 'native backend',
      what: 'native kernels are made on Linux and macOS only',
      fix: "use the backend 'wasm'",
    })
  }
  return {
    machine: `${process.platform} ${process.arch}`,
    findCompilers,
    compile,
    openLibraryCache,
    loadAddon: (path) => {
      const addon = { exports: {} }
      process.dlopen(addon, path)
      return addon.exports
    },
    hash: (text) => createHash('sha256').update(text).digest('hex'),
    availableMemory,
  }
}

/** Node 20.13 and later know. */
function availableMemory(): number | undefined {
  const { availableMemory: available } = process as { availableMemory?: () => number }
  const bytes = available?.call(process)
  return bytes === undefined || bytes === 0 ? undefined : bytes
}

// ── the compiler ──

async function findCompilers(names: readonly string[]): Promise<Compiler[]> {
  // Relative entries would mean another program after a change of folder.
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => isAbsolute(folder))
  const found = new Map<string, Compiler>()
  for (const name of names) {
    const places = name.includes('/') ? [resolve(name)] : folders.map((folder) => join(folder, name))
    for (const place of places) {
      try {
        await fs.access(place, fs.constants.X_OK)
        const path = await fs.realpath(place)
        const stat = await fs.stat(path)
        if (!stat.isFile() || isStub(place)) continue
        // The same program by another name is no second chance.
        if (!found.has(path)) found.set(path, { path: place, identity: `${path} ${stat.size} ${stat.mtimeMs}` })
        break
      } catch {
        // Not here.
      }
    }
  }
  return [...found.values()]
}

/** macOS has programs in place of a compiler that ask the user, in a window, to install one. */
function isStub(place: string): boolean {
  if (process.platform !== 'darwin' || !place.startsWith('/usr/bin/')) return false
  return spawnSync('xcode-select', ['-p'], { stdio: 'ignore' }).status !== 0
}

function compile(
  { path }: Compiler,
  args: readonly string[],
  source: string,
  timeoutMs: number,
): Promise<CompilerOutcome> {
  return new Promise((done) => {
    // A group of its own: the compiler's helpers end with it.
    const child = spawn(path, args, { stdio: ['pipe', 'ignore', 'pipe'], detached: true })
    let said = ''
    let failure: string | undefined
    const timer = setTimeout(() => {
      failure = `it was stopped after ${timeoutMs / 1000} s`
      try {
        process.kill(-(child.pid as number), 'SIGKILL')
      } catch {
        child.kill('SIGKILL')
      }
    }, timeoutMs)
    child.on('error', (error) => {
      failure ??= error.message
      // Without streams there will be no `close`: there was no room for another process or file.
      if (child.stdin !== null) return
      clearTimeout(timer)
      done({ failure })
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 10_000) said += text
    })
    // It may end without having read everything.
    child.stdin?.on('error', () => {})
    child.stdin?.end(source)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 && failure === undefined) return done({ failure: undefined })
      const ending = signal === null ? `exit code ${code}` : `signal ${signal}`
      done({ failure: failure ?? (said.trim() || ending) })
    })
  })
}

// ── the cache ──

async function openLibraryCache(path: string): Promise<LibraryCache> {
  const folder = resolve(path)
  try {
    await makeWithParents(dirname(folder))
    await usePrivateFolder(folder)
    return new Libraries(folder, undefined)
  } catch (error) {
    const reason = (error as Error).message
    try {
      const temporary = await fs.mkdtemp(join(tmpdir(), 'juanji-'))
      process.once('exit', () => rmSync(temporary, { recursive: true, force: true }))
      return new Libraries(temporary, `compiled kernels cannot be kept (${reason}): they are made anew in every run`)
    } catch {
      throw new UnsupportedError({
        where: 'native backend',
        what: `compiled kernels cannot be stored: ${reason}`,
        fix: 'let JUANJI_CACHE name a folder that only you can write',
      })
    }
  }
}

/** Makes the folder, or makes sure that nobody else can put a library there. */
async function usePrivateFolder(folder: string): Promise<void> {
  try {
    await fs.mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const stat = await fs.lstat(folder)
  if (!stat.isDirectory()) throw new Error(`${folder} is no folder`)
  if (stat.uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user`)
  if ((stat.mode & 0o077) !== 0) await fs.chmod(folder, 0o700)
  await fs.access(folder, fs.constants.W_OK | fs.constants.X_OK)
}

function digestOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32)
}

/** Files are called `<key>.<digest of the content>.so`: the name says whether the content is whole. */
class Libraries implements LibraryCache {
  readonly folder: string
  readonly notice: string | undefined
  #names: Map<string, string> | undefined
  #trimmed = false

  constructor(folder: string, notice: string | undefined) {
    this.folder = folder
    this.notice = notice
  }

  async find(key: string): Promise<string | undefined> {
    this.#names ??= await this.#list()
    const name = this.#names.get(key)
    if (name === undefined) return undefined
    const path = join(this.folder, name)
    try {
      const stat = await fs.lstat(path)
      const own = stat.isFile() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0
      if (own && name === `${key}.${digestOf(await fs.readFile(path))}.so`) {
        const now = Date.now()
        if (now - stat.mtimeMs > touchMs) await fs.utimes(path, now / 1000, now / 1000).catch(() => {})
        return path
      }
    } catch {
      // Gone: made anew.
    }
    this.#names.delete(key)
    await fs.rm(path, { force: true }).catch(() => {})
    return undefined
  }

  async add(key: string, make: (path: string) => Promise<void>): Promise<string> {
    const beside = join(this.folder, `${randomUUID()}.tmp`)
    try {
      await make(beside)
      await fs.chmod(beside, 0o700)
      const name = `${key}.${digestOf(await fs.readFile(beside))}.so`
      const path = join(this.folder, name)
      await fs.rename(beside, path)
      this.#names?.set(key, name)
      if (!this.#trimmed) {
        this.#trimmed = true
        await this.#trim()
      }
      return path
    } catch (error) {
      await fs.rm(beside, { force: true }).catch(() => {})
      throw error
    }
  }

  async #list(): Promise<Map<string, string>> {
    const names = new Map<string, string>()
    for (const name of await fs.readdir(this.folder).catch(() => [])) {
      if (name.endsWith('.so')) names.set(name.slice(0, name.indexOf('.')), name)
    }
    return names
  }

  async #trim(): Promise<void> {
    const files: { path: string; bytes: number; used: number }[] = []
    for (const name of await fs.readdir(this.folder).catch(() => [])) {
      const path = join(this.folder, name)
      const stat = await fs.lstat(path).catch(() => undefined)
      if (stat === undefined) continue
      if (name.endsWith('.so')) files.push({ path, bytes: stat.size, used: stat.mtimeMs })
      else if (Date.now() - stat.mtimeMs > abandonedMs) await fs.rm(path, { force: true }).catch(() => {})
    }
    files.sort((a, b) => b.used - a.used)
    let bytes = 0
    for (const [i, file] of files.entries()) {
      bytes += file.bytes
      // A library that is loaded stays loaded when its file goes.
      if (i >= keptLibraries || bytes > keptBytes) await fs.rm(file.path, { force: true }).catch(() => {})
    }
  }
}
