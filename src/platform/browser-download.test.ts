import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { send, serve, type TestServer } from '../../test/http-server.ts'
import { cachedFile, httpGet, openPartialFile, sha256 } from './browser-download.ts'
import { NetworkFailure } from './download.ts'

const file = Uint8Array.from({ length: 1000 }, (_, i) => (i * i) % 251)
const never = new AbortController().signal

let server: TestServer
beforeEach(async () => {
  server = await serve((request, response) => {
    if (request.url === '/packed') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(file))
    else if (request.url === '/cut') send(request, response, file, { cutAfter: 400 })
    else send(request, response, file, { etag: '"1"' })
  })
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await server.close()
})

/** A Cache Storage as a page has it; `put` may refuse. */
function stubCaches(put?: () => Promise<void>): Map<string, Response> {
  const stored = new Map<string, Response>()
  const cache = {
    match: async (url: string) => stored.get(url),
    put: async (url: string, response: Response) => {
      await put?.()
      stored.set(url, response)
    },
  }
  vi.stubGlobal('caches', { open: async (name: string) => (name === 'juanji' ? cache : undefined) })
  return stored
}

it('asks without headers that need permission, and tells of the answer', async () => {
  const answer = await httpGet(`${server.url}/file`, { range: 'bytes=400-', 'if-range': '"1"' }, never)
  expect(server.requests[0].headers).toMatchObject({ range: 'bytes=400-' })
  expect(server.requests[0].headers['if-range']).toBeUndefined()
  expect([answer.status, answer.header('content-range'), answer.length, answer.encoded]).toEqual([
    206,
    'bytes 400-999/1000',
    600,
    false,
  ])
  const pieces: Uint8Array[] = []
  for await (const piece of answer.body) pieces.push(piece)
  await answer.close()
  expect(Buffer.concat(pieces)).toEqual(Buffer.from(file.subarray(400)))

  const packed = await httpGet(`${server.url}/packed`, {}, never)
  expect([packed.length, packed.encoded]).toEqual([undefined, true])
  await packed.close()
})

it('says what the browser says', async () => {
  const cut = await httpGet(`${server.url}/cut`, {}, never)
  const broken = (async () => {
    for await (const piece of cut.body) expect(piece.length).toBeGreaterThan(0)
  })()
  await expect(broken).rejects.toThrow(NetworkFailure)
  await cut.close()
  await server.close()
  await expect(httpGet(`${server.url}/file`, {}, never)).rejects.toMatchObject({
    message: 'the browser says "fetch failed"',
    passing: true,
    fix: 'see the console of the browser; a server of another origin must allow this page to read its files (CORS)',
  })
})

it('computes sums in secure contexts only', async () => {
  const text = new TextEncoder().encode('abc')
  expect(await sha256(text)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  vi.stubGlobal('crypto', {})
  const error = await sha256(text).catch((thrown: Error) => thrown)
  expect(String(error)).toBe(
    `UnsupportedError: sha256: this page has no crypto.subtle, so that downloaded files cannot be checked.
  expected  a secure context: https, or localhost
  fix       serve the page over https`,
  )
})

/** Fills a file with these bytes, in two pieces. */
async function fill(name: string) {
  const partial = await openPartialFile(name)
  await partial.begin({ url: 'http://example.invalid/' })
  await partial.append(file)
  await partial.begin({ url: 'http://example.invalid/', total: 1000 })
  await partial.append(file.subarray(0, 300))
  await partial.append(file.subarray(300))
  expect([partial.size, partial.note?.total]).toEqual([1000, 1000])
  expect(await partial.read()).toEqual(file)
  const done = await partial.finish()
  await partial.release()
  return done
}

it('keeps complete files in Cache Storage', async () => {
  const stored = stubCaches()
  expect(await cachedFile('images/toy/a')).toBeUndefined()
  expect(await (await fill('images/toy/a'))?.read()).toEqual(file)
  expect([...stored.keys()]).toEqual(['https://juanji.invalid/images/toy/a'])
  const cached = await cachedFile('images/toy/a')
  expect(cached?.path).toBe('images/toy/a')
  expect(await cached?.read()).toEqual(file)
  expect(await cached?.read()).toEqual(file)
})

it('does without Cache Storage, or one that is full', async () => {
  expect(await (await fill('a'))?.read()).toEqual(file)
  expect(await cachedFile('a')).toBeUndefined()
  stubCaches(() => Promise.reject(new DOMException('full', 'QuotaExceededError')))
  expect(await (await fill('a'))?.read()).toEqual(file)
  expect(await cachedFile('a')).toBeUndefined()
})
