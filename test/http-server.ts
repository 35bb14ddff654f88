/** Servers on this machine for tests of downloads, that do what they are told, wrong things too. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface TestServer {
  /** `http://127.0.0.1:…` */
  readonly url: string
  readonly port: number
  /** What was asked, in order: path and headers. */
  readonly requests: { readonly url: string; readonly headers: IncomingMessage['headers'] }[]
  close(): Promise<void>
}

/** @param turn number of the request, from 0 */
export type Answer = (request: IncomingMessage, response: ServerResponse, turn: number) => unknown

export async function serve(
  answer: Answer,
  connect?: (request: IncomingMessage, socket: Socket) => void,
): Promise<TestServer> {
  const requests: TestServer['requests'] = []
  const server = createServer((request, response) => {
    requests.push({ url: request.url ?? '', headers: { ...request.headers } })
    response.on('error', () => undefined)
    answer(request, response, requests.length - 1)
  })
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    requests.push({ url: `CONNECT ${request.url}`, headers: request.headers })
    socket.on('error', () => undefined)
    connect?.(request, socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Version of the file; a request for a part of another version gets the whole. */
  readonly etag?: string
  /** Answers requests for parts; default true. */
  readonly ranges?: boolean
  /** Cuts the connection after so many bytes of the body. */
  readonly cutAfter?: number
  /** Says nothing more after so many bytes of the body. */
  readonly stallAfter?: number
}

/** Sends a file as a good server does, as far as the options let it. */
export function send(request: IncomingMessage, response: ServerResponse, file: Uint8Array, options: SendOptions = {}) {
  const { etag, ranges = true, cutAfter, stallAfter } = options
  const { range, 'if-range': ifRange } = request.headers
  const first = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  const part = ranges && first > 0 && (ifRange === undefined || ifRange === etag)
  if (part && first >= file.length) {
    response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end()
    return
  }
  const body = part ? file.subarray(first) : file
  response.writeHead(part ? 206 : 200, {
    'content-length': body.length,
    ...(etag === undefined ? {} : { etag }),
    ...(part ? { 'content-range': `bytes ${first}-${file.length - 1}/${file.length}` } : {}),
    ...options.headers,
  })
  const stop = cutAfter ?? stallAfter
  if (stop === undefined || stop >= body.length) {
    response.end(body)
    return
  }
  response.write(body.subarray(0, stop), () => {
    // Long enough that what was written arrives before the connection ends.
    if (cutAfter !== undefined) setTimeout(() => response.destroy(), 20)
  })
}
