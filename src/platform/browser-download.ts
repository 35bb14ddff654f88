/** Downloads in a page: fetch, and Cache Storage where the page may use it. */
import { UnsupportedError } from '../base/errors.ts'
import {
  type CachedFile,
  type HttpAnswer,
  lengthOf,
  NetworkFailure,
  type PartialFile,
  type PartialNote,
  piecesOf,
} from './download.ts'

export async function httpGet(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  // If-Range would make the browser ask the server for permission first, which few servers give.
  const { 'if-range': _, ...simple } = headers
  const response = await fetch(url, { headers: simple, signal }).catch((error: unknown) => {
    throw networkFailure(error)
  })
  const encoded = (response.headers.get('content-encoding') ?? 'identity') !== 'identity'
  // Another origin does not have to show how its body is packed.
  const counted = !encoded && response.type !== 'cors'
  return {
    status: response.status,
    statusText: response.statusText,
    header: (name) => response.headers.get(name) ?? undefined,
    length: counted ? lengthOf(response.headers.get('content-length')) : undefined,
    encoded,
    body: piecesOf(response.body, networkFailure),
    async close() {
      if (response.body?.locked === false) await response.body.cancel()
    },
  }
}

/** Browsers do not tell scripts why a request failed. */
function networkFailure(error: unknown): NetworkFailure {
  const reason = `the browser says "${(error as Error).message}"`
  return new NetworkFailure(reason, {
    passing: true,
    fix: 'see the console of the browser; a server of another origin must allow this page to read its files (CORS)',
  })
}

export async function sha256(bytes: Uint8Array): Promise<string> {
  // The type says that it is always there.
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle
  if (subtle === undefined) {
    throw new UnsupportedError({
      where: 'sha256',
      what: 'this page has no crypto.subtle, so that downloaded files cannot be checked',
      expected: 'a secure context: https, or localhost',
      fix: 'serve the page over https',
    })
  }
  const sum = new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const storageName = 'juanji'
/** Cache Storage has addresses for names; nothing answers at this one. */
const addressOf = (name: string) => `https://juanji.invalid/${name}`

/** Pages outside a secure context have no Cache Storage, and a browser may refuse it. */
async function storage(): Promise<Cache | undefined> {
  return typeof caches === 'undefined' ? undefined : caches.open(storageName).catch(() => undefined)
}

export async function cachedFile(name: string): Promise<CachedFile | undefined> {
  const found = await (await storage())?.match(addressOf(name))
  return found && { path: name, read: async () => new Uint8Array(await found.clone().arrayBuffer()) }
}

export async function openPartialFile(name: string): Promise<PartialFile> {
  return new MemoryPartialFile(name)
}

class MemoryPartialFile implements PartialFile {
  readonly path: string
  note: PartialNote | undefined
  size = 0
  #pieces: Uint8Array[] = []

  constructor(name: string) {
    this.path = name
  }

  async begin(note: PartialNote): Promise<void> {
    await this.discard()
    this.note = note
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes)
    this.size += bytes.length
  }

  async read(): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.size)
    let at = 0
    for (const piece of this.#pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  async finish(): Promise<CachedFile> {
    const bytes = await this.read()
    // A full disk or a private window is no reason to fail: the bytes are here.
    await (await storage())
      ?.put(addressOf(this.path), new Response(bytes as Uint8Array<ArrayBuffer>))
      .catch(() => undefined)
    return { path: this.path, read: async () => bytes }
  }

  async discard(): Promise<void> {
    this.#pieces = []
    this.size = 0
    this.note = undefined
  }

  async release(): Promise<void> {
    this.#pieces = []
  }
}
