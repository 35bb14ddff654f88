/** Brings files of data sets from the network into the cache. */
import {
  type CachedFile,
  cachedFile,
  environment,
  type HttpAnswer,
  httpGet,
  NetworkFailure,
  now,
  openPartialFile,
  type PartialFile,
} from '#platform'
import { ConfigError, FormatError, UnsupportedError } from '../base/errors.ts'

/** A file of a data set and where it comes from. */
export interface RemoteFile {
  /** The data set it belongs to, which is its folder in the cache and on mirrors. */
  readonly folder: string
  readonly name: string
  readonly url: string
  /** Its length at that address, to show how far a download is where a server does not tell. */
  readonly bytes: number
  /** Looks at what came. @throws FormatError naming `where` when it is not this file */
  check(content: Uint8Array, where: string): Promise<void>
}

/** How far a download is. */
export interface DownloadProgress {
  /**
   * `waiting`: another process downloads the file. `retrying`: something failed and will be tried again in
   * `retrySeconds`, `reason` says what. `checking`: all is there and its checksum is computed. `done`: it is in place.
   */
  readonly state: 'waiting' | 'downloading' | 'retrying' | 'checking' | 'done'
  readonly file: string
  readonly url: string
  /** Where the file will be. */
  readonly path: string
  /** Bytes that are there, those of earlier tries included. */
  readonly bytes: number
  /** Bytes in all, as the server says, or else as the file was published. */
  readonly total: number
  readonly bytesPerSecond?: number
  readonly reason?: string
  readonly retrySeconds?: number
}

export interface DownloadOptions {
  /**
   * An address that stands for all others: the file is fetched from `<mirror>/<data set>/<file>`, such as
   * `https://example.org/data/mnist/train-images-idx3-ubyte.gz`. Default: JUANJI_MIRROR, else the publisher's address.
   */
  readonly mirror?: string
  readonly onProgress?: (progress: DownloadProgress) => void
  /** Stops the download; what has come is kept for the next time. */
  readonly signal?: AbortSignal
}

/** How long is waited for a network that does not do its part. */
export interface Patience {
  /** Tries before it is given up; one that brings something new is the first one again. */
  readonly tries: number
  /** Wait after the first failure in milliseconds; it doubles with each one. */
  readonly retryMs: number
  /** A connection that brings nothing for so many milliseconds is given up. */
  readonly stallMs: number
}

const defaultPatience: Patience = { tries: 4, retryMs: 1_000, stallMs: 30_000 }

const otherWays =
  'set JUANJI_MIRROR (in code { mirror }) to the address of a copy, or get the files by other means and name their folder (--data DIR, or { data } in code)'

/** The file's name in the cache: the layout of the folder that JUANJI_DATA names. */
export function cacheName({ folder, name }: RemoteFile): string {
  return `images/${folder}/${name}`
}

/**
 * Brings a file into the cache. A broken download goes on where it stopped, in the same call or in a later one, where
 * the server still has the same file; its name is only given to a file whose checksum is right. When another process
 * downloads the same file, this one waits for it.
 *
 * @throws UnsupportedError when the network or the server does not give the file, FormatError when it gives another
 * one, ConfigError when the mirror is no address or the cache can't be written, the signal's reason when it is aborted
 */
export async function download(
  file: RemoteFile,
  options: DownloadOptions = {},
  patience: Partial<Patience> = {},
): Promise<CachedFile> {
  const { signal, onProgress } = options
  const url = addressOf(file, options.mirror)
  const tell = (partial: { path: string; size: number; note?: { total?: number } }, more: Told) =>
    onProgress?.({
      file: file.name,
      url,
      path: partial.path,
      bytes: partial.size,
      total: Math.max(partial.note?.total ?? file.bytes, partial.size),
      ...more,
    })
  const name = cacheName(file)
  const waiting = (size: number) => tell({ path: name, size }, { state: 'waiting' })
  for (;;) {
    signal?.throwIfAborted()
    const there = await cachedFile(name)
    if (there !== undefined) return there
    const partial = await openPartialFile(name, { signal, onWait: waiting })
    try {
      // Who was waited for has finished it.
      const finished = await cachedFile(name)
      if (finished !== undefined) return finished
      const job = { file, url, partial, signal, patience: { ...defaultPatience, ...patience } }
      const filled = await fill({ ...job, tell: (more) => tell(partial, more) })
      if (filled !== undefined) return filled
    } finally {
      await partial.release()
    }
  }
}

type Told = Omit<DownloadProgress, 'file' | 'url' | 'path' | 'bytes' | 'total'>

interface Job {
  readonly file: RemoteFile
  readonly url: string
  readonly partial: PartialFile
  readonly signal: AbortSignal | undefined
  readonly patience: Patience
  readonly tell: (more: Told) => void
}

function addressOf(file: RemoteFile, given: string | undefined): string {
  const fromEnvironment = environment('JUANJI_MIRROR')
  const mirror = given ?? (fromEnvironment === '' ? undefined : fromEnvironment)
  if (mirror === undefined) return file.url
  const address = `${mirror.replace(/\/+$/, '')}/${file.folder}/${file.name}`
  // In a page an address may be relative to it.
  const base: Location | undefined = globalThis.location
  if (URL.canParse(address, base?.href)) {
    const url = new URL(address, base?.href)
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.href
  }
  throw new ConfigError({
    where: given === undefined ? 'JUANJI_MIRROR' : 'mirror',
    what: 'this is not the address of a mirror',
    got: `'${mirror}'`,
    expected: 'an address such as https://example.org/data, which holds mnist/train-images-idx3-ubyte.gz and the like',
    fix: 'correct it; files on this machine are named by --data DIR, or { data } in code',
  })
}

/** Requests the file until it is there and right. Undefined when another process took over meanwhile. */
async function fill(job: Job): Promise<CachedFile | undefined> {
  const { file, url, partial, signal, patience, tell } = job
  let failures = 0
  let most = partial.size
  // Bytes of several answers may belong to several versions of the file: then it is begun anew, once.
  let mixed = partial.size > 0
  let anew = false
  for (;;) {
    try {
      if (!isComplete(job)) mixed = await receive(job)
      signal?.throwIfAborted()
      tell({ state: 'checking' })
      await file.check(await partial.read(), url)
      const finished = await partial.finish()
      if (finished !== undefined) tell({ state: 'done' })
      return finished
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof FormatError) {
        await partial.discard()
        if (!mixed || anew) throw wrongFile(error)
        anew = true
        most = 0
        tell({ state: 'retrying', reason: 'parts of several downloads do not fit together', retrySeconds: 0 })
        continue
      }
      if (!(error instanceof NetworkFailure)) throw error
      failures = partial.size > most ? 1 : failures + 1
      most = Math.max(most, partial.size)
      // A host that is unknown at first is a mistake or no network; once it gave something, the network went away.
      const hopeless = !error.passing && (most === 0 || error instanceof ServerRefusal)
      if (hopeless || failures >= patience.tries) throw givenUp(job, error, failures)
      const waitMs = waitAfter(error, patience.retryMs * 2 ** (failures - 1))
      tell({ state: 'retrying', reason: error.message, retrySeconds: waitMs / 1000 })
      await pause(waitMs, signal)
    }
  }
}

/** Whether an earlier run received everything and was stopped before it looked at it. */
function isComplete({ partial, url }: Job): boolean {
  return partial.size > 0 && partial.note?.url === url && partial.note.total === partial.size
}

// ── one request ──

/** An answer without the file. */
class ServerRefusal extends NetworkFailure {
  /** How long the server asks to wait. */
  readonly retryMs: number | undefined

  constructor(answer: HttpAnswer, passing: boolean) {
    const words = answer.statusText === '' ? '' : ` (${answer.statusText})`
    super(`the server answers with status ${answer.status}${words}`, { passing })
    this.retryMs = retryAfterMs(answer.header('retry-after'))
  }
}

/** The longest wait that a server may ask for. */
const longestWaitMs = 60_000

/** @param header seconds or a date */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d+$/.test(header) ? 1000 * Number(header) : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), longestWaitMs)
}

function waitAfter(failure: NetworkFailure, usualMs: number): number {
  return failure instanceof ServerRefusal ? Math.max(usualMs, failure.retryMs ?? 0) : usualMs
}

/**
 * Makes one request and takes its body.
 * @returns whether it went on with bytes that were there
 * @throws NetworkFailure when the file is not complete after it
 */
async function receive(job: Job): Promise<boolean> {
  const { url, partial, signal, patience, tell } = job
  const stall = watchStall(patience.stallMs, signal)
  try {
    const continuing = partial.size > 0 && partial.note?.url === url && partial.note.encoded !== true
    const answer = await httpGet(url, headersFor(partial, continuing), stall.signal)
    try {
      const continued = await accept(answer, job, continuing)
      const first = partial.size
      const start = now()
      for await (const piece of answer.body) {
        await partial.append(piece)
        stall.restart()
        if (partial.size > (partial.note?.total ?? Infinity)) break
        const bytesPerSecond = ((partial.size - first) / Math.max(1, now() - start)) * 1000
        tell({ state: 'downloading', bytesPerSecond })
      }
      await checkLength(partial)
      return continued
    } finally {
      await answer.close()
    }
  } catch (error) {
    if (!stall.stalled()) throw error
    throw new NetworkFailure(`nothing came for ${patience.stallMs / 1000} s`, { passing: true })
  } finally {
    stall.stop()
  }
}

function headersFor({ size, note }: PartialFile, continuing: boolean): Record<string, string> {
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  if (continuing) headers.range = `bytes=${size}-`
  if (continuing && note?.validator !== undefined) headers['if-range'] = note.validator
  return headers
}

/** Makes the partial file ready for the body of an answer. @returns whether the body goes on with what is there */
async function accept(answer: HttpAnswer, { url, partial }: Job, continuing: boolean): Promise<boolean> {
  const { status, length, encoded } = answer
  const validator = validatorOf(answer)
  if (status === 200) {
    await partial.begin({ url, validator, total: length, encoded })
    return false
  }
  if (status === 206) {
    if (continuing && !encoded && fits(answer, validator, partial)) return true
    await partial.discard()
    throw new NetworkFailure('the server sent another part than it was asked for', { passing: true })
  }
  if (status === 416 && partial.size > 0) {
    await partial.discard()
    throw new NetworkFailure('the server has less of the file than is here', { passing: true })
  }
  throw new ServerRefusal(answer, status >= 500 || [408, 425, 429].includes(status))
}

/** What tells a version of the file from others. If-Range takes no weak ETags. */
function validatorOf(answer: HttpAnswer): string | undefined {
  const etag = answer.header('etag')
  return etag === undefined || etag.startsWith('W/') ? answer.header('last-modified') : etag
}

/** Whether a part goes on exactly where the bytes end, as far as its headers tell. */
function fits(answer: HttpAnswer, validator: string | undefined, { size, note }: PartialFile): boolean {
  if (note?.validator !== undefined && validator !== undefined && validator !== note.validator) return false
  const range = answer.header('content-range')
  // A server of another origin need not show it to a page; the checksum decides then.
  if (range === undefined) return true
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? []
  return Number(first) === size && (total === '*' || note?.total === undefined || Number(total) === note.total)
}

async function checkLength(partial: PartialFile): Promise<void> {
  const total = partial.note?.total
  if (total === undefined || partial.size === total) return
  const got = partial.size
  if (got > total) await partial.discard()
  throw new NetworkFailure(`${got.toLocaleString('en-US')} of ${total.toLocaleString('en-US')} bytes came`, {
    passing: true,
  })
}

/** A signal that is aborted with the given one, or when `restart` was not called for so many milliseconds. */
function watchStall(ms: number, signal: AbortSignal | undefined) {
  const controller = new AbortController()
  const begin = () => setTimeout(() => controller.abort(), ms)
  let timer = begin()
  return {
    signal: signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]),
    stalled: () => controller.signal.aborted,
    restart() {
      clearTimeout(timer)
      timer = begin()
    },
    stop: () => clearTimeout(timer),
  }
}

/** Waits, or throws the signal's reason. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}

// ── errors ──

function givenUp({ file, url, partial }: Job, failure: NetworkFailure, tries: number): UnsupportedError {
  const kept = partial.size === 0 ? '' : `; ${partial.size.toLocaleString('en-US')} bytes are kept for the next time`
  const first = failure.fix ?? (failure instanceof ServerRefusal ? 'check the address' : 'check the network')
  return new UnsupportedError({
    where: url,
    what: `${file.name} cannot be downloaded: ${failure.message}`,
    got: `${tries === 1 ? '1 try' : `${tries} tries`} without success${kept}`,
    fix: `${first}; or ${otherWays}`,
  })
}

function wrongFile({ problem }: FormatError): FormatError {
  return new FormatError({ ...problem, fix: `the server sent something else: try again later, or ${otherWays}` })
}
