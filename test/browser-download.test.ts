/** Downloads in a real page: resumed, checked, kept in Cache Storage, from its own origin and from others. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { send, serve, type TestServer } from './http-server.ts'

const executablePath = process.env.JUANJI_CHROMIUM ?? '/usr/bin/chromium'
const hasChromium = existsSync(executablePath)
if (!hasChromium) {
  console.log(`downloads in a page are not tested: there is no Chromium at ${executablePath}`)
}

const file = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251)
const sum = createHash('sha256').update(file).digest('hex')
const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** What the page's program offers. */
interface Downloads {
  /** Downloads the toy file from a mirror; returns whether it is right, and the states on the way. */
  downloadToy(mirror: string): Promise<{ right: boolean; states: string[] } | string>
}

const program = `
import { download } from ${JSON.stringify(at('src/data/download.ts'))}
import { checkSum } from ${JSON.stringify(at('src/data/checksum.ts'))}
const check = (content, where) => checkSum(content, '${sum}', where, 'the file')
globalThis.downloadToy = async (mirror) => {
  const states = []
  const onProgress = ({ state }) => { if (state !== states.at(-1)) states.push(state) }
  try {
    const toy = { folder: 'toy', name: 'toy.bin', url: 'http://publisher.invalid/', bytes: 300_000, check }
    const done = await download(toy, { mirror, onProgress }, { retryMs: 1, tries: 2 })
    const content = await done.read()
    return { right: content.length === 300_000 && content[500] === ${file[500]}, states }
  } catch (error) {
    return String(error)
  }
}`

describe.skipIf(!hasChromium)('in Chromium', () => {
  let browser: Browser
  let script: string
  let site: TestServer
  let other: TestServer
  let page: Page

  beforeAll(async () => {
    const bundle = await build({
      stdin: { contents: program, resolveDir: at('.') },
      alias: { '#platform': at('src/platform/browser.ts') },
      bundle: true,
      write: false,
      format: 'esm',
    })
    script = bundle.outputFiles[0].text
    const args = ['no-sandbox', 'disable-gpu', 'no-first-run', 'disable-background-networking', 'disable-sync']
    browser = await chromium.launch({ executablePath, args: args.map((flag) => `--${flag}`) })
  }, 60_000)
  afterAll(() => browser?.close())

  beforeEach(async () => {
    let cut = false
    site = await serve((request, response) => {
      if (request.url === '/script.js') response.setHeader('Content-Type', 'text/javascript').end(script)
      else if (request.url?.startsWith('/data/') === true) {
        send(request, response, file, { etag: '"1"', ...(cut ? {} : { cutAfter: 100_000 }) })
        cut = true
      } else response.setHeader('Content-Type', 'text/html').end('<script type="module" src="/script.js"></script>')
    })
    other = await serve((request, response) => {
      const headers: Record<string, string> =
        request.url?.startsWith('/open/') === true ? { 'access-control-allow-origin': '*' } : {}
      const broken = headers['access-control-allow-origin'] !== undefined && request.headers.range === undefined
      send(request, response, file, { etag: '"1"', headers, ...(broken ? { cutAfter: 100_000 } : {}) })
    })
    page = await browser.newPage()
    await page.goto(site.url)
    await page.waitForFunction(() => 'downloadToy' in globalThis)
  })
  afterEach(async () => {
    await page.close()
    await site.close()
    await other.close()
  })

  const downloadToy = (mirror: string) =>
    page.evaluate((given) => (globalThis as unknown as Downloads).downloadToy(given), mirror)
  const asked = ({ requests }: TestServer) =>
    requests.filter(({ url }) => url.endsWith('toy.bin')).map(({ headers }) => headers.range)

  it('from its own origin: taken up where it broke, then kept', async () => {
    expect(await downloadToy('/data')).toEqual({
      right: true,
      states: ['downloading', 'retrying', 'downloading', 'checking', 'done'],
    })
    expect(asked(site)).toEqual([undefined, 'bytes=100000-'])
    expect(await downloadToy('/data')).toEqual({ right: true, states: [] })
    await page.reload()
    await page.waitForFunction(() => 'downloadToy' in globalThis)
    expect(await downloadToy('/data')).toEqual({ right: true, states: [] })
    expect(asked(site)).toHaveLength(2)
  })

  it('from another origin that allows it', async () => {
    expect(await downloadToy(`${other.url}/open`)).toMatchObject({ right: true })
    expect(asked(other)).toEqual([undefined, 'bytes=100000-'])
  })

  it('from another origin that does not', async () => {
    const text = await downloadToy(`${other.url}/closed`)
    expect(text).toContain('toy.bin cannot be downloaded: the browser says "Failed to fetch".\n  got       2 tries')
    expect(text).toContain('a server of another origin must allow this page to read its files (CORS); or set')
  })
})
