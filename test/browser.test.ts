/** The packed package, bundled as users do, in a browser: it loads, trains to the bits of Node, and the page stays free. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bundle, bundle, bundlers, copyPage, installPacked, readmePrograms } from './browser/bundle.ts'
import { chromiumArguments, chromiumPath } from './browser/chromium.ts'
import type { trainAndWatch } from './browser/page.ts'
import { train } from './browser/training.ts'

const mostBytes = 150_000
const options = { steps: 50, batchSize: 32, threads: 2 }
/** Far beyond what was measured: only a main thread that computes itself would exceed it. */
const sanityMs = 2000

let folder: string
let project: string
const pages = new Map<string, Bundle>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-browser-'))
  project = join(folder, 'project')
  await installPacked(folder, project)
  await copyPage(project)
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(bundlers)('bundled by %s', (bundler) => {
  it("README's programs: no warning, nothing of Node, small", async () => {
    for (const [i, code] of (await readmePrograms()).entries()) {
      await writeFile(join(project, `readme-${i}.ts`), code)
      const { warnings, gzipBytes, code: bundled } = await bundle(bundler, project, `readme-${i}`)
      console.log(`README program ${i + 1} by ${bundler}: ${(gzipBytes / 1000).toFixed(1)} kB gzip`)
      expect(warnings).toEqual([])
      expect(bundled).not.toMatch(/["'](node:|sharp["'])/)
      expect(gzipBytes).toBeLessThanOrEqual(mostBytes)
    }
  })

  it("the page's program", async () => {
    const page = await bundle(bundler, project, 'page')
    expect(page.warnings).toEqual([])
    pages.set(bundler, page)
  })
})

const hasChromium = existsSync(chromiumPath)
if (!hasChromium) {
  console.log(`browser tests are skipped: there is no Chromium at ${chromiumPath}; JUANJI_CHROMIUM names another`)
}

describe.skipIf(!hasChromium)('in Chromium', () => {
  let browser: Browser
  let server: Server
  let losses: readonly number[]

  beforeAll(async () => {
    server = createServer((request, response) => void answer(request.url ?? '/', response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    browser = await chromium.launch({ executablePath: chromiumPath, args: chromiumArguments })
    losses = (await train(options)).losses
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    server?.close()
  })

  /** `/isolated/vite/…` and `/plain/vite/…`: the same files with and without the headers that allow shared memory. */
  async function answer(url: string, response: import('node:http').ServerResponse): Promise<void> {
    const [mode, bundler, ...path] = url.slice(1).split('/')
    if (mode === 'isolated') {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    }
    const name = path.join('/') || 'index.html'
    response.setHeader('Content-Type', extname(name) === '.html' ? 'text/html' : 'text/javascript')
    const page = pages.get(bundler)
    const content = page === undefined ? undefined : await readFile(join(page.folder, name)).catch(() => undefined)
    response.writeHead(content === undefined ? 404 : 200).end(content)
  }

  it.each([
    { bundler: 'vite', mode: 'isolated', how: 'two threads over shared memory', threads: 2 },
    { bundler: 'esbuild', mode: 'plain', how: 'one worker with a memory of its own', threads: 1 },
  ])('$bundler, $mode: $how, the losses of Node to the last bit', async ({ bundler, mode, threads }) => {
    const page = await browser.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
    })
    try {
      const { port } = server.address() as AddressInfo
      await page.goto(`http://127.0.0.1:${port}/${mode}/${bundler}/`)
      const result = await page.evaluate(
        (given) => (globalThis as unknown as { trainAndWatch: typeof trainAndWatch }).trainAndWatch(given),
        options,
      )
      const { seconds, longestTimerGapMs: timer, longestFrameGapMs: frame, longestTaskMs: task } = result
      console.log(
        `${bundler}, ${mode}: ${options.steps} steps in ${seconds.toFixed(1)} s; longest gap between timers ` +
          `${timer.toFixed(0)} ms, between frames ${frame.toFixed(0)} ms; longest task ${task.toFixed(0)} ms`,
      )
      expect(problems).toEqual([])
      expect(result).toMatchObject({ isolated: mode === 'isolated', threads })
      expect(result.losses).toEqual(losses)
      expect(Math.max(timer, frame, task)).toBeLessThan(sanityMs)
    } finally {
      await page.close()
    }
  })
})
