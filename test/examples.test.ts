/** The examples do what their README says; what they print is compared in documents.test.ts. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import sharp from 'sharp'
import { build, createLogger, type PreviewServer, preview } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel } from '../src/index.ts'
import { chromiumArguments, chromiumPath } from './browser/chromium.ts'
import { run, stagePackage } from './staging/stage.ts'

let folder: string
let stage: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-examples-'))
  stage = await stagePackage(folder)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs an example as its first lines say. */
function runExample(name: string, ...argv: string[]) {
  return run(process.execPath, [join(stage, 'node_modules/tsx/dist/cli.mjs'), `examples/${name}`, ...argv], {
    cwd: stage,
  })
}

describe('edges-and-colours', () => {
  /** Red, green and blue of a pixel. */
  async function pixel(name: string, x: number, y: number): Promise<number[]> {
    const picture = sharp(join(stage, 'edges-and-colours', `${name}.png`)).toColourspace('srgb')
    return [...(await picture.extract({ left: x, top: y, width: 1, height: 1 }).removeAlpha().raw().toBuffer())]
  }
  /** How far a pixel is from grey. */
  const colour = ([red, green, blue]: number[]) => Math.max(red, green, blue) - Math.min(red, green, blue)

  it('finds what is in its own drawing', async () => {
    const { stderr } = await runExample('edges-and-colours.ts')
    expect(stderr).toBe('')
    // The house's left wall is an upright edge, its floor a level one; results are a pixel nearer to the corner.
    expect((await pixel('edges-upright', 118, 200))[0]).toBeGreaterThan(50)
    expect((await pixel('edges-level', 118, 200))[0]).toBeLessThan(10)
    expect((await pixel('edges-level', 140, 259))[0]).toBeGreaterThan(50)
    expect((await pixel('edges-upright', 140, 259))[0]).toBeLessThan(10)
    // The sun is as bright as the sky.
    expect((await pixel('edges', 359, 69))[0]).toBeLessThan(20)
    expect((await pixel('edges-of-colour', 359, 69))[0]).toBeGreaterThan(100)
    const roof = [195, 120] as const
    const meadow = [50, 280] as const
    expect(colour(await pixel('red', ...roof))).toBeGreaterThan(100)
    expect(colour(await pixel('red', ...meadow))).toBeLessThan(5)
    expect(colour(await pixel('green', ...roof))).toBeLessThan(5)
    expect(colour(await pixel('green', ...meadow))).toBeGreaterThan(60)
    expect(colour(await pixel('picture', ...meadow))).toBeGreaterThan(60)
  })

  it('takes photographs', async () => {
    const photo = join(folder, 'photo.jpg')
    const create = { width: 1000, height: 500, channels: 3, background: 'red' } as const
    await sharp({ create }).jpeg().toFile(photo)
    const { stdout } = await runExample('edges-and-colours.ts', photo, join(folder, 'found'))
    expect(stdout).toBe(`A picture of 800 × 400 pixels; what was found is in ${join(folder, 'found')}\n`)
  })
})

it('training-loop saves a model', async () => {
  const saved = join(folder, 'by-hand')
  const { stdout, stderr } = await runExample('training-loop.ts', '600', '2', saved)
  expect(stderr).toBe('')
  const { model, classes, metrics } = await loadModel(saved)
  expect([model.inputShape, classes.length]).toEqual([[28, 28, 1], 10])
  expect(stdout).toContain(`test accuracy ${(100 * (metrics?.testAccuracy as number)).toFixed(2)} %`)
})

describe('web-worker', () => {
  it('is built without a warning, and trains in Chromium', async ({ skip }) => {
    const example = join(stage, 'examples', 'web-worker')
    const warnings: string[] = []
    const warn = (message: string) => void warnings.push(message)
    const customLogger = { ...createLogger('warn'), warn, warnOnce: warn, error: warn }
    await build({ root: example, logLevel: 'warn', customLogger })
    expect(warnings).toEqual([])

    skip(!existsSync(chromiumPath), `there is no Chromium at ${chromiumPath}; JUANJI_CHROMIUM names another`)
    let server: PreviewServer | undefined
    let browser: Browser | undefined
    try {
      server = await preview({ root: example, logLevel: 'error', preview: { port: 0 } })
      browser = await chromium.launch({ executablePath: chromiumPath, args: chromiumArguments })
      const page = await browser.newPage()
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(error.message))
      page.on('console', (message) => problems.push(message.text()))
      await page.goto(`${server.resolvedUrls?.local[0]}?pictures=300&epochs=1`)
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
      await page.click('#button')
      const status = page.locator('#status', { hasText: /^(done|error|the worker failed)/ })
      await status.waitFor({ timeout: 50_000 })
      expect(await status.textContent()).toMatch(/^done in .* s: it reads .* % of digits it has never seen$/)
      expect(await page.locator('#digits figure').count()).toBe(12)
      expect(problems).toEqual([])
    } finally {
      await browser?.close()
      await server?.close()
    }
  })
})
