/** What downloading needs of both platforms: the answer to a request, a file that is being filled, a file that is there. */

/** The answer to a GET request, redirects followed. Close it in any case, also when the body was read to its end. */
export interface HttpAnswer {
  readonly status: number
  /** The status in words, as the server put it; may be empty. */
  readonly statusText: string
  /** A header's value; names in lower case. */
  header(name: string): string | undefined
  /** Bytes of the body as it arrives, where that is known. */
  readonly length: number | undefined
  /** Whether the body was packed for the way and arrives unpacked: its bytes can't be asked for by their place. */
  readonly encoded: boolean
  /** The body, piece by piece. @throws NetworkFailure when the connection breaks */
  readonly body: AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** A file of the cache that is complete. */
export interface CachedFile {
  /** Where it is, for messages: a path, or in a page the name it was given. */
  readonly path: string
  read(): Promise<Uint8Array>
}

/** What is known of bytes that were downloaded in part, so that more of the same can be asked for. */
export interface PartialNote {
  readonly url: string
  /** Strong ETag or date of the version that the bytes belong to, as If-Range takes it. */
  readonly validator?: string
  /** Bytes of the whole file. */
  readonly total?: number
  /** They were unpacked on the way: a server can't go on where they end. */
  readonly encoded?: boolean
}

/**
 * A file of the cache that is being filled, by one process at a time. Release it in any case; the bytes stay for the
 * next time, unless it was finished.
 */
export interface PartialFile {
  /** Where the complete file will be, for messages. */
  readonly path: string
  /** Bytes that are there. */
  readonly size: number
  /** What was noted when the first of these bytes came; undefined when nothing usable is there. */
  readonly note: PartialNote | undefined
  /** Throws away what is there and notes what the bytes to come belong to. */
  begin(note: PartialNote): Promise<void>
  append(bytes: Uint8Array): Promise<void>
  /** All bytes that are there. */
  read(): Promise<Uint8Array>
  /** Gives the file its name, durably. Undefined when another process has taken over meanwhile: open it again. */
  finish(): Promise<CachedFile | undefined>
  /** Throws away what is there. */
  discard(): Promise<void>
  release(): Promise<void>
}

export interface OpenPartialOptions {
  readonly signal?: AbortSignal
  /** Called again and again while another process fills the file, with the bytes it has. */
  readonly onWait?: (bytes: number) => void
}

/** A request that got no answer, or not all of it. The message is a clause: `the connection was closed`. */
export class NetworkFailure extends Error {
  /** Whether it may go better in a moment. */
  readonly passing: boolean
  /** What to do about it, where the failure tells. */
  readonly fix: string | undefined

  constructor(reason: string, { passing, fix }: { passing: boolean; fix?: string }) {
    super(reason)
    this.name = 'NetworkFailure'
    this.passing = passing
    this.fix = fix
  }
}

/** The part of a web stream that is used here; Node's and the page's types for it differ. */
interface ByteStream {
  getReader(): { read(): Promise<{ done: boolean; value?: unknown }>; cancel(): Promise<void> }
}

/** The pieces of a body. `translate` makes a NetworkFailure of what the stream throws. */
export async function* piecesOf(
  body: ByteStream | null,
  translate: (error: unknown) => Error,
): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw translate(error)
      })
      if (done) return
      yield value as Uint8Array
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** The length that a Content-Length header gives; undefined when it gives none. */
export function lengthOf(header: string | null | undefined): number | undefined {
  return header !== null && header !== undefined && /^\d+$/.test(header) ? Number(header) : undefined
}
