import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Answer, serve, type TestServer } from '../../test/http-server.ts'
import { NetworkFailure } from './download.ts'
import { httpGet } from './node-http.ts'

let servers: TestServer[]
beforeEach(() => {
  servers = []
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    vi.stubEnv(name, undefined)
    vi.stubEnv(name.toLowerCase(), undefined)
  }
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of servers) await server.close()
})

async function start(answer: Answer, onConnect?: (socket: Socket) => void): Promise<TestServer> {
  const server = await serve(answer, onConnect && ((_, socket) => onConnect(socket)))
  servers.push(server)
  return server
}

/** Status and body. */
async function get(url: string): Promise<[number, string]> {
  const answer = await httpGet(url, {}, new AbortController().signal)
  try {
    let body = ''
    for await (const piece of answer.body) body += new TextDecoder().decode(piece)
    return [answer.status, body]
  } finally {
    await answer.close()
  }
}

async function failureOf(url: string): Promise<NetworkFailure> {
  const error = await get(url).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(NetworkFailure)
  return error as NetworkFailure
}

describe('a proxy', () => {
  const target: Answer = (_, response) => response.end('from the server')
  const proxy: Answer = (request, response) => response.end(`for ${request.url}`)

  it('is asked for http addresses in full', async () => {
    const server = await start(target)
    const first = await start(proxy)
    const second = await start(proxy)
    vi.stubEnv('HTTP_PROXY', first.url)
    expect(await get(`${server.url}/a`)).toEqual([200, `for ${server.url}/a`])
    vi.stubEnv('http_proxy', second.url.replace('http://', ''))
    expect(await get(`${server.url}/b`)).toEqual([200, `for ${server.url}/b`])
    vi.stubEnv('http_proxy', '')
    expect(await get(`${server.url}/c`)).toEqual([200, 'from the server'])
    expect([server, first, second].map(({ requests }) => requests.map(({ url }) => url))).toEqual([
      ['/c'],
      [`${server.url}/a`],
      [`${server.url}/b`],
    ])
  })

  it('gets the name and password of its address', async () => {
    const server = await start(proxy)
    vi.stubEnv('HTTP_PROXY', `http://me:se%20cret@127.0.0.1:${server.port}`)
    await get('http://example.invalid/')
    expect(server.requests[0].headers['proxy-authorization']).toBe(`Basic ${btoa('me:se cret')}`)
  })

  it.each([
    ['127.0.0.1', true],
    ['example.org, 127.0.0.1', true],
    ['*', true],
    ['127.0.0.1:PORT', true],
    ['127.0.0.1:1', false],
    ['example.org', false],
  ])('is passed by for the hosts of NO_PROXY=%s: %s', async (value, passed) => {
    const server = await start(target)
    vi.stubEnv('HTTP_PROXY', (await start(proxy)).url)
    for (const name of ['NO_PROXY', 'no_proxy']) {
      vi.stubEnv(name, value.replace('PORT', String(server.port)))
      expect(await get(`${server.url}/`)).toEqual([200, passed ? 'from the server' : `for ${server.url}/`])
      vi.stubEnv(name, undefined)
    }
  })

  it('makes a tunnel for https addresses', async () => {
    const hello = new Promise<Buffer>((resolve) => {
      start(proxy, (socket) => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
        socket.once('data', (data) => {
          resolve(data)
          socket.destroy()
        })
      }).then(({ url }) => vi.stubEnv('HTTPS_PROXY', url))
    })
    await vi.waitUntil(() => process.env.HTTPS_PROXY !== undefined)
    const failure = await failureOf('https://example.invalid/data')
    expect([failure.message, failure.passing]).toEqual(['the connection was closed (ECONNRESET)', true])
    expect(servers[0].requests.map(({ url }) => url)).toEqual(['CONNECT example.invalid:443'])
    expect((await hello)[0]).toBe(0x16) // a TLS handshake
  })

  it.each([
    [407, false],
    [503, true],
  ])('refuses a tunnel with status %d', async (status, passing) => {
    const { url } = await start(proxy, (socket) => socket.end(`HTTP/1.1 ${status} No\r\n\r\n`))
    vi.stubEnv('HTTPS_PROXY', url)
    const failure = await failureOf('https://example.invalid/data')
    expect({ ...failure, message: failure.message }).toMatchObject({
      message: `the proxy answers with status ${status}`,
      passing,
      fix: 'check HTTPS_PROXY and HTTP_PROXY, with name and password where the proxy wants them; NO_PROXY excepts hosts',
    })
  })

  it.each(['http://me:secret@proxy.example:port', 'ftp://me:secret@proxy.example'])(
    'has an address, whose password is not shown: %s',
    async (value) => {
      vi.stubEnv('HTTPS_PROXY', value)
      const error = await get('https://example.invalid/').catch((thrown: Error) => thrown)
      expect(`${(error as Error).name}: ${(error as Error).message}`).toBe(
        `ConfigError: HTTPS_PROXY: this variable does not hold the address of a proxy.
  expected  an address such as http://proxy.example:3128
  fix       correct HTTPS_PROXY, or unset it`,
      )
    },
  )
})

describe('what goes wrong is said', () => {
  const openssl = (() => {
    try {
      return execFileSync('openssl', ['version'], { encoding: 'utf8' })
    } catch {
      return undefined
    }
  })()

  it('for a certificate that nobody signed', async (context) => {
    if (openssl === undefined) context.skip('there is no openssl to make a certificate with')
    const folder = await mkdtemp(join(tmpdir(), 'juanji-certificate-'))
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name))
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost']
    execFileSync('openssl', [...request, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const server = createSecureServer({ key: await readFile(key), cert: await readFile(cert) })
    await rm(folder, { recursive: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const failure = await failureOf(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    server.close()
    expect({ ...failure, message: failure.message }).toMatchObject({
      message: 'the certificate of the server is not trusted (self-signed certificate)',
      passing: false,
      fix: 'where a proxy signs with a certificate of its own, name its file with NODE_EXTRA_CA_CERTS',
    })
  })

  it('for a connection that is refused or cut, and for an answer that is no HTTP', async () => {
    const server = await start((request, response) => {
      const socket = request.socket
      if (request.url === '/cut') socket.destroy()
      else if (request.url === '/reset') socket.resetAndDestroy()
      else if (request.url === '/other') socket.end('220 mail.example ESMTP\r\n')
      else response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip at all')
    })
    const saying = async (path: string) => {
      const { message, passing } = await failureOf(server.url + path)
      return [message, passing]
    }
    expect(await saying('/cut')).toEqual(['the connection was closed (UND_ERR_SOCKET)', true])
    expect(await saying('/reset')).toEqual(['the connection was closed (ECONNRESET)', true])
    expect((await saying('/other'))[0]).toMatch(/^Response does not match the HTTP\/1\.1 protocol/)
    expect(await saying('/gzip')).toEqual(['incorrect header check', true])
    await server.close()
    expect(await saying('/')).toEqual(['the connection is refused (ECONNREFUSED)', true])
  })

  it.each([
    ['ENOTFOUND', 'no address is known for the host (ENOTFOUND)', false],
    ['EAI_AGAIN', 'names of hosts cannot be looked up, there seems to be no network (EAI_AGAIN)', true],
    ['ENETUNREACH', 'the network does not reach the host (ENETUNREACH)', true],
    ['UND_ERR_CONNECT_TIMEOUT', 'there is no answer (UND_ERR_CONNECT_TIMEOUT)', true],
    ['ESOMETHING', 'it went wrong', true],
  ])('for %s', async (code, message, passing) => {
    vi.doMock('undici', async (original) => ({
      ...(await original<typeof import('undici')>()),
      fetch: () =>
        Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error('it went wrong.'), { code }) })),
    }))
    const failure = await failureOf('http://example.invalid/')
    vi.doUnmock('undici')
    expect([failure.message, failure.passing]).toEqual([message, passing])
  })
})

it('closes its connections, whether the body was read or not', async () => {
  const sockets = new Set<Socket>()
  const server = await start((request, response) => {
    sockets.add(request.socket)
    response.writeHead(200)
    response.write('the first piece')
  })
  const answer = await httpGet(server.url, {}, new AbortController().signal)
  expect(answer.length).toBeUndefined()
  await answer.close()
  const other = await httpGet(server.url, {}, new AbortController().signal)
  for await (const piece of other.body) {
    expect(new TextDecoder().decode(piece)).toBe('the first piece')
    break
  }
  await other.close()
  expect(sockets.size).toBe(2)
  await vi.waitUntil(() => [...sockets].every((socket) => socket.destroyed))
})
