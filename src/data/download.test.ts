import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Answer, type SendOptions, send, serve, type TestServer } from '../../test/http-server.ts'
import { Random } from '../base/random.ts'
import { sha256 } from '../platform/node.ts'
import { checkSum, unpack } from './checksum.ts'
import { type DownloadOptions, type DownloadProgress, download, type Patience, type RemoteFile } from './download.ts'

/** Bytes that gzip leaves as long as they are. */
function noise(seed: number): Uint8Array {
  const random = new Random(seed, 'noise')
  return Uint8Array.from({ length: 250_000 }, () => random.integer(256))
}
const content = noise(1)
const file = gzipSync(content)
const sum = await sha256(content)

let cache: string
let server: TestServer
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'juanji-download-'))
  vi.stubEnv('JUANJI_CACHE', cache)
  for (const name of ['JUANJI_MIRROR', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    vi.stubEnv(name, undefined)
    vi.stubEnv(name.toLowerCase(), undefined)
  }
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server?.close()
  await rm(cache, { recursive: true })
})

function toy(url: string): RemoteFile {
  const check: RemoteFile['check'] = async (bytes, where) =>
    checkSum(await unpack(bytes, where), sum, where, 'the file')
  return { folder: 'toy', name: 'toy.gz', url, bytes: file.length, check }
}

const quick: Partial<Patience> = { retryMs: 1, stallMs: 30_000 }

/** Starts a server and downloads from it. */
async function from(answer: Answer, options?: DownloadOptions, patience: Partial<Patience> = quick) {
  server = await serve(answer)
  return download(toy(`${server.url}/toy.gz`), options, patience)
}

const folder = () => join(cache, 'images', 'toy')
const path = () => join(folder(), 'toy.gz')
const files = () => readdir(folder())

/** The whole text of the error, with the parts that differ from run to run by name. */
async function textOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  if (error === undefined) throw new Error('nothing was thrown')
  return `${error.name}: ${error.message}`.replaceAll(server?.url ?? '-', 'SERVER').replaceAll(cache, 'CACHE')
}

const otherWays =
  'set JUANJI_MIRROR (in code { mirror }) to the address of a copy, or get the files by other means and name their folder (--data DIR, or { data } in code)'

/** An answer that sends the file in a way of its own each time; the last way is kept. */
const inTurn =
  (...ways: (SendOptions | number)[]): Answer =>
  (request, response, turn) => {
    const way = ways[Math.min(turn, ways.length - 1)]
    if (typeof way === 'number') response.writeHead(way).end()
    else send(request, response, file, way)
  }

const ranges = () => server.requests.map(({ headers }) => headers.range)

describe('a good server', () => {
  it('gives the file once, and how far it is', async () => {
    const told: DownloadProgress[] = []
    const done = await from(inTurn({}), { onProgress: (progress) => told.push(progress) })
    expect(done.path).toBe(path())
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(await files()).toEqual(['toy.gz'])

    const states = told.map(({ state }) => state)
    expect([...new Set(states)]).toEqual(['downloading', 'checking', 'done'])
    for (const { total, file: name, url } of told) {
      expect([total, name, url]).toEqual([file.length, 'toy.gz', `${server.url}/toy.gz`])
    }
    const bytes = told.map((progress) => progress.bytes)
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b))
    expect(bytes.at(-1)).toBe(file.length)

    await download(toy(`${server.url}/toy.gz`))
    expect(server.requests).toHaveLength(1)
    expect(server.requests[0].headers['accept-encoding']).toBe('identity')
  })

  it('is found after redirections', async () => {
    const done = await from((request, response, turn) => {
      if (turn < 2) response.writeHead(302, { location: `/hop${turn}` }).end()
      else send(request, response, file)
    })
    expect(await done.read()).toHaveLength(file.length)
    expect(server.requests.map(({ url }) => url)).toEqual(['/toy.gz', '/hop0', '/hop1'])
  })

  it('is a mirror when there is one', async () => {
    server = await serve(inTurn({}))
    vi.stubEnv('JUANJI_MIRROR', `${server.url}/data/`)
    await download(toy('http://publisher.invalid/toy.gz'))
    await rm(path())
    await download(toy('http://publisher.invalid/toy.gz'), { mirror: `${server.url}/other` })
    expect(server.requests.map(({ url }) => url)).toEqual(['/data/toy/toy.gz', '/other/toy/toy.gz'])
  })

  it.each(['example.org/data', 'file:///data', '/data'])('is no mirror at %s', async (mirror) => {
    vi.stubEnv('JUANJI_MIRROR', mirror)
    expect(await textOf(download(toy('http://publisher.invalid/toy.gz')))).toBe(
      `ConfigError: JUANJI_MIRROR: this is not the address of a mirror.
  got       '${mirror}'
  expected  an address such as https://example.org/data, which holds mnist/train-images-idx3-ubyte.gz and the like
  fix       correct it; files on this machine are named by --data DIR, or { data } in code`,
    )
  })
})

describe('a connection that breaks', () => {
  it('is taken up where it broke, again and again', async () => {
    const told: DownloadProgress[] = []
    const cut = { etag: '"1"', cutAfter: 50_000 }
    const done = await from(inTurn(cut, cut, cut, cut, { etag: '"1"' }), { onProgress: (each) => told.push(each) })
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(ranges()).toEqual([undefined, ...[1, 2, 3].map((i) => `bytes=${50_000 * i}-`), 'bytes=200000-'])
    expect(server.requests.map(({ headers }) => headers['if-range'])).toEqual([undefined, ...Array(4).fill('"1"')])
    expect(told.filter(({ state }) => state === 'retrying')[0]).toMatchObject({
      bytes: 50_000,
      reason: 'the connection was closed (UND_ERR_SOCKET)',
      retrySeconds: 0.001,
    })
  })

  it('is taken up in a later run', async () => {
    const text = await textOf(from(inTurn({ etag: '"1"', cutAfter: 70_000 }, {}), {}, { ...quick, tries: 1 }))
    expect(
      text,
    ).toBe(`UnsupportedError: SERVER/toy.gz: toy.gz cannot be downloaded: the connection was closed (UND_ERR_SOCKET).
  got       1 try without success; 70,000 bytes are kept for the next time
  fix       check the network; or ${otherWays}`)
    expect(await files()).toEqual(['toy.gz.part', 'toy.gz.part.json'])
    await download(toy(`${server.url}/toy.gz`))
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
    expect(await files()).toEqual(['toy.gz'])
  })

  it('is taken up although the next try looks hopeless', async () => {
    const nowhere: Answer = (_, response) => response.writeHead(302, { location: 'ftp://elsewhere.invalid/' }).end()
    const cut = inTurn({ cutAfter: 70_000 }, {})
    await from((request, response, turn) => (turn === 1 ? nowhere : cut)(request, response, turn))
    expect(ranges()).toEqual([undefined, 'bytes=70000-', 'bytes=70000-'])
    await server.close()
    await rm(path())
    expect(await textOf(from(nowhere))).toContain('1 try without success')
  })

  it('is begun anew where the server can send no part', async () => {
    const done = await from(inTurn({ etag: '"1"', cutAfter: 70_000 }, { ranges: false }))
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
  })

  it('is begun anew when the file has changed', async () => {
    const old = gzipSync(noise(2))
    const done = await from((request, response, turn) => {
      if (turn === 0) send(request, response, old, { etag: '"1"', cutAfter: 70_000 })
      else send(request, response, file, { etag: '"2"' })
    })
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(server.requests).toHaveLength(2)
  })

  it('is begun anew when the file has changed and the server sends the part all the same', async () => {
    const done = await from((request, response, turn) => {
      delete request.headers['if-range']
      if (turn === 0) send(request, response, gzipSync(noise(2)), { etag: '"1"', cutAfter: 70_000 })
      else send(request, response, file, { etag: '"2"' })
    })
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(ranges()).toEqual([undefined, 'bytes=70000-', undefined])
  })

  it('is begun anew when the parts do not fit together, once', async () => {
    const mixed =
      (later: Uint8Array): Answer =>
      (request, response, turn) => {
        if (turn === 0) send(request, response, gzipSync(noise(2)), { cutAfter: 70_000 })
        else send(request, response, turn === 1 ? file : later)
      }
    const done = await from(mixed(file))
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(ranges()).toEqual([undefined, 'bytes=70000-', undefined])
    await server.close()
    await rm(path())
    expect(await textOf(from(mixed(gzipSync(noise(3)))))).toContain('is not the one that was published')
    expect(server.requests).toHaveLength(3)
    expect(await files()).toEqual([])
  })

  it('is begun anew when the server answers with another part, or has less', async () => {
    const done = await from((request, response, turn) => {
      if (turn === 0) send(request, response, file, { cutAfter: 70_000 })
      else if (turn === 1) response.writeHead(206, { 'content-range': 'bytes 7-9/10' }).end('abc')
      else if (turn === 2) send(request, response, file, { cutAfter: 80_000 })
      else if (turn === 3) response.writeHead(416).end()
      else send(request, response, file)
    })
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(ranges()).toEqual([undefined, 'bytes=70000-', undefined, 'bytes=80000-', undefined])
  })

  it('is taken up by its date where the ETag is weak', async () => {
    const date = 'Wed, 21 Oct 2015 07:28:00 GMT'
    const weak = { etag: 'W/"1"', headers: { 'last-modified': date } }
    await from((request, response, turn) => {
      // The server knows the version by its date; "send" by the ETag.
      if (request.headers['if-range'] === date) request.headers['if-range'] = weak.etag
      send(request, response, file, { ...weak, ...(turn === 0 ? { cutAfter: 70_000 } : {}) })
    })
    expect(server.requests[1].headers['if-range']).toBe(date)
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
  })

  it('is given up when nothing comes any more', async () => {
    const patience = { ...quick, stallMs: 150 }
    const done = await from(inTurn({ stallAfter: 70_000 }, {}), {}, patience)
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    await server.close()
    await rm(path())
    const silent = from(() => undefined, {}, { ...patience, tries: 2 })
    expect(
      await textOf(silent),
    ).toBe(`UnsupportedError: SERVER/toy.gz: toy.gz cannot be downloaded: nothing came for 0.15 s.
  got       2 tries without success
  fix       check the network; or ${otherWays}`)
    expect(await files()).toEqual([])
  })
})

describe('a server that refuses', () => {
  it('is not asked again for a file that it does not have', async () => {
    expect(await textOf(from(inTurn(404)))).toBe(
      `UnsupportedError: SERVER/toy.gz: toy.gz cannot be downloaded: the server answers with status 404 (Not Found).
  got       1 try without success
  fix       check the address; or ${otherWays}`,
    )
    expect(server.requests).toHaveLength(1)
    expect(await files()).toEqual([])
  })

  it('is asked again when it is only busy', async () => {
    await from(inTurn(500, 503, 429, {}))
    expect(server.requests).toHaveLength(4)
  })

  it('is waited for as long as it asks', async () => {
    const told: DownloadProgress[] = []
    const busy: Answer = (request, response, turn) => {
      if (turn > 0) send(request, response, file)
      else response.writeHead(503, { 'retry-after': new Date(Date.now() + 500_000).toUTCString() }).end()
    }
    const controller = new AbortController()
    const onProgress = (progress: DownloadProgress) => {
      told.push(progress)
      controller.abort(new Error('long enough'))
    }
    expect(await textOf(from(busy, { onProgress, signal: controller.signal }))).toBe('Error: long enough')
    expect(told).toMatchObject([{ state: 'retrying', retrySeconds: 60 }])
  })

  it('is given up after four tries in a row without anything new', async () => {
    expect(await textOf(from(inTurn({ cutAfter: 70_000 }, 500)))).toBe(
      `UnsupportedError: SERVER/toy.gz: toy.gz cannot be downloaded: the server answers with status 500 (Internal Server Error).
  got       4 tries without success; 70,000 bytes are kept for the next time
  fix       check the address; or ${otherWays}`,
    )
    expect(server.requests).toHaveLength(4)
  })

  it('is given up when it always breaks at the same place', async () => {
    const text = await textOf(from(inTurn({ ranges: false, cutAfter: 70_000 })))
    expect(text).toContain('4 tries without success; 70,000 bytes are kept')
    expect(server.requests).toHaveLength(4)
  })

  it('is not asked again when it sends in circles', async () => {
    const text = await textOf(from((_, response) => response.writeHead(302, { location: '/toy.gz' }).end()))
    expect(text).toContain('toy.gz cannot be downloaded: redirect count exceeded.\n  got       1 try without success')
  })

  it('is gone', async () => {
    server = await serve(inTurn({}))
    await server.close()
    expect(await textOf(download(toy(`${server.url}/toy.gz`), {}, quick))).toBe(
      `UnsupportedError: SERVER/toy.gz: toy.gz cannot be downloaded: the connection is refused (ECONNREFUSED).
  got       4 tries without success
  fix       check the network; or ${otherWays}`,
    )
  })
})

describe('wrong bytes', () => {
  const sends = (bytes: Uint8Array) => textOf(from((request, response) => send(request, response, bytes)))

  it('are refused by their checksum', async () => {
    const wrong = noise(2)
    expect(await sends(gzipSync(wrong))).toBe(
      `FormatError: SERVER/toy.gz: the file is not the one that was published.
  got       sha256 ${await sha256(wrong)}, 250,000 bytes that begin with ${Buffer.from(wrong.subarray(0, 8))
    .toString('hex')
    .replace(/..(?=.)/g, '$& ')}
  expected  sha256 ${sum}, uncompressed
  fix       the server sent something else: try again later, or ${otherWays}`,
    )
    expect(server.requests).toHaveLength(1)
    expect(await files()).toEqual([])
  })

  it('such as the page of a hotel are refused', async () => {
    expect(await sends(Buffer.from('<!DOCTYPE html><p>Welcome'))).toContain(
      '25 bytes that begin with "<!DOCTYP" (HTML or XML)',
    )
  })

  it('of half a gzip file are refused', async () => {
    expect(await sends(file.subarray(0, 1000))).toMatch(
      /^FormatError: SERVER\/toy\.gz: the gzip data is damaged: .*\n.*\n.*\n {2}fix {7}the server sent something else/,
    )
  })

  it('are not those of a file that is packed another way', async () => {
    const repacked = gzipSync(content, { level: 1 })
    expect(repacked.equals(file)).toBe(false)
    const done = await from((request, response) => send(request, response, repacked))
    expect(await done.read()).toHaveLength(repacked.length)
    await rm(path())
    await server.close()
    const plain = await from((request, response) => send(request, response, content))
    expect(Buffer.from(await plain.read()).equals(content)).toBe(true)
  })

  it('are not those of a body that is packed for the way', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const packed = gzipSync(file)
    const done = await from((request, response, turn) =>
      send(request, response, packed, { headers, ranges: false, ...(turn === 0 ? { cutAfter: 70_000 } : {}) }),
    )
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    // Places in what was unpacked mean nothing to the server.
    expect(ranges()).toEqual([undefined, undefined])
  })
})

describe('the cache', () => {
  it('cannot be written, which does not matter when the file is there', async (context) => {
    if (process.getuid?.() === 0) context.skip('root may write everywhere')
    await from(inTurn({}))
    await chmod(folder(), 0o555)
    expect((await download(toy(`${server.url}/toy.gz`))).path).toBe(path())
    expect(await textOf(download({ ...toy(`${server.url}/toy.gz`), name: 'other.gz' }))).toBe(
      `ConfigError: CACHE/images/toy/other.gz.lock: cannot write: permission denied.
  fix       choose another path or change the permissions; JUANJI_CACHE names another folder for downloads`,
    )
    await chmod(folder(), 0o755)
  })

  it('cannot be made: nothing is asked for', async () => {
    await writeFile(join(cache, 'images'), 'in the way')
    expect(await textOf(from(inTurn({})))).toBe(
      `ConfigError: CACHE/images/toy: cannot make this folder: a part of this path is a file, not a folder.
  fix       name a folder; JUANJI_CACHE names another folder for downloads`,
    )
    expect(server.requests).toEqual([])
  })

  it.runIf(process.platform === 'linux')('lies on a full disk', async () => {
    await mkdir(folder(), { recursive: true })
    await symlink('/dev/full', `${path()}.part`)
    expect(await textOf(from(inTurn({})))).toBe(
      `ConfigError: CACHE/images/toy/toy.gz.part: cannot write: the disk is full.
  fix       free some space or choose another disk; JUANJI_CACHE names another folder for downloads`,
    )
    expect((await files()).filter((name) => !name.includes('.part'))).toEqual([])
  })

  it('has all bytes of a run that was killed before it looked at them', async () => {
    server = await serve(inTurn({}))
    await mkdir(folder(), { recursive: true })
    await writeFile(`${path()}.part`, file)
    await writeFile(`${path()}.part.json`, JSON.stringify({ url: `${server.url}/toy.gz`, total: file.length }))
    await download(toy(`${server.url}/toy.gz`))
    expect(server.requests).toEqual([])
    expect(await files()).toEqual(['toy.gz'])
  })

  it.each(['not JSON', '{"url":7}', '{"url":"http://elsewhere.invalid/toy.gz"}'])(
    'has bytes of unknown origin: %s',
    async (note) => {
      await mkdir(folder(), { recursive: true })
      await writeFile(`${path()}.part`, noise(5))
      await writeFile(`${path()}.part.json`, note)
      const done = await from(inTurn({}))
      expect(Buffer.from(await done.read()).equals(file)).toBe(true)
      expect(ranges()).toEqual([undefined])
    },
  )
})

describe('two at once', () => {
  /** Holds every answer back until it is told to go on. */
  function held() {
    let goOn = () => {}
    const gate = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const answer: Answer = async (request: IncomingMessage, response: ServerResponse) => {
      await gate
      send(request, response, file)
    }
    return { answer, goOn }
  }

  it('ask once', async () => {
    const { answer, goOn } = held()
    const told: DownloadProgress[] = []
    const onProgress = (progress: DownloadProgress) => {
      told.push(progress)
      if (progress.state === 'waiting') goOn()
    }
    server = await serve(answer)
    const first = download(toy(`${server.url}/toy.gz`), { onProgress })
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const second = download(toy(`${server.url}/toy.gz`), { onProgress })
    const both = await Promise.all([first, second])
    for (const done of both) expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(server.requests).toHaveLength(1)
    expect(told[0]).toMatchObject({ state: 'waiting', file: 'toy.gz', bytes: 0, total: file.length })
    expect(await files()).toEqual(['toy.gz'])
  })

  it('the one that waits can be stopped', async () => {
    const { answer, goOn } = held()
    server = await serve(answer)
    const first = download(toy(`${server.url}/toy.gz`))
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('stopped'))
    const second = download(toy(`${server.url}/toy.gz`), { onProgress, signal: controller.signal })
    expect(await textOf(second)).toBe('Error: stopped')
    goOn()
    await first
  })
})

describe('a download that is stopped', () => {
  it('goes on the next time', async () => {
    const controller = new AbortController()
    const onProgress = ({ bytes }: DownloadProgress) => {
      if (bytes >= 70_000) controller.abort(new Error('enough'))
    }
    const stopped = from(inTurn({ etag: '"1"', stallAfter: 70_000 }, { etag: '"1"' }), {
      onProgress,
      signal: controller.signal,
    })
    expect(await textOf(stopped)).toBe('Error: enough')
    expect(await files()).toEqual(['toy.gz.part', 'toy.gz.part.json'])
    const done = await download(toy(`${server.url}/toy.gz`))
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
  })

  it('does not begin when it is too late', async () => {
    server = await serve(inTurn({}))
    const late = download(toy(`${server.url}/toy.gz`), { signal: AbortSignal.abort(new Error('too late')) })
    expect(await textOf(late)).toBe('Error: too late')
    expect(server.requests).toEqual([])
  })

  it('by an error of the caller leaves no lock', async () => {
    const onProgress = () => {
      throw new Error('from the caller')
    }
    expect(await textOf(from(inTurn({ stallAfter: 70_000 }), { onProgress }))).toBe('Error: from the caller')
    expect(await files()).toEqual(['toy.gz.part', 'toy.gz.part.json'])
  })

  it('by kill -9 goes on the next time, at once', async () => {
    server = await serve(inTurn({ etag: '"1"', stallAfter: 70_000 }, { etag: '"1"' }))
    const child = downloadElsewhere(`${server.url}/toy.gz`)
    const written = async () => (await readFile(`${path()}.part`).catch(() => Buffer.alloc(0))).length
    while ((await written()) < 70_000) await new Promise((resolve) => setTimeout(resolve, 20))
    const exit = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)))
    child.kill('SIGKILL')
    expect(await exit).toBe('SIGKILL')
    expect(await files()).toEqual(['toy.gz.lock', 'toy.gz.part', 'toy.gz.part.json'])
    const done = await download(toy(`${server.url}/toy.gz`))
    expect(ranges()).toEqual([undefined, 'bytes=70000-'])
    expect(Buffer.from(await done.read()).equals(file)).toBe(true)
    expect(await files()).toEqual(['toy.gz'])
  })

  /** The same download in a process of its own. */
  function downloadElsewhere(url: string): ChildProcess {
    const program = `
      import { download } from ${JSON.stringify(new URL('./download.ts', import.meta.url).href)}
      await download({ folder: 'toy', name: 'toy.gz', url: '${url}', bytes: 1, check: async () => {} })`
    return spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: 'inherit',
    })
  }
})
