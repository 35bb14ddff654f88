/** The package as users get it, and their programs as bundlers make pages of them. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import { createLogger, build as viteBuild } from 'vite'
import { readBlocks } from '../staging/documents.ts'
import { packStaged, root, run, stagePackage } from '../staging/stage.ts'

/** Builds and packs the working tree and unpacks it in `project` as npm would install it; dist/ is left alone. */
export async function installPacked(folder: string, project: string): Promise<void> {
  const tarball = await packStaged(await stagePackage(folder), folder)
  const installed = join(project, 'node_modules', 'juanji')
  await mkdir(installed, { recursive: true })
  await run('tar', ['xzf', tarball, '-C', installed, '--strip-components=1'])
  // What it depends on, as it is installed here.
  const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) {
    await mkdir(dirname(join(project, 'node_modules', name)), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name), 'junction')
  }
  await writeFile(join(project, 'package.json'), '{ "name": "page", "private": true, "type": "module" }')
}

/** The README's programs. */
export async function readmePrograms(): Promise<string[]> {
  return (await readBlocks(join(root, 'README.md'))).filter(({ language }) => language === 'ts').map(({ code }) => code)
}

/** Puts the page's program into the project, where it imports the package. */
export async function copyPage(project: string): Promise<void> {
  for (const name of ['page.ts', 'training.ts']) {
    const text = await readFile(join(root, 'test', 'browser', name), 'utf8')
    await writeFile(join(project, name), text.replace("'../../src/index.ts'", "'juanji'"))
  }
}

export interface Bundle {
  /** index.html and what it loads. */
  readonly folder: string
  readonly warnings: readonly string[]
  /** All scripts that the page loads to run the program. */
  readonly gzipBytes: number
  readonly code: string
}

export const bundlers = ['vite', 'esbuild'] as const

/** Bundles a program of the project into a page. */
export async function bundle(bundler: (typeof bundlers)[number], project: string, name: string): Promise<Bundle> {
  const folder = join(project, 'out', bundler, name)
  await mkdir(folder, { recursive: true })
  const html = (script: string) =>
    `<!doctype html><html lang="en"><title>juanji</title><link rel="icon" href="data:,"><script type="module" src="${script}"></script></html>\n`
  const warnings: string[] = []
  if (bundler === 'esbuild') {
    const result = await esbuild.build({
      entryPoints: [join(project, `${name}.ts`)],
      absWorkingDir: project,
      outdir: folder,
      bundle: true,
      splitting: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      logLevel: 'silent',
    })
    warnings.push(...result.warnings.map(({ text }) => text))
    await writeFile(join(folder, 'index.html'), html(`./${name}.js`))
  } else {
    const page = join(project, 'index.html')
    await writeFile(page, html(`/${name}.ts`))
    const logger = createLogger('warn')
    const warn = (message: string) => void warnings.push(message)
    await viteBuild({
      root: project,
      base: './',
      configFile: false,
      logLevel: 'warn',
      customLogger: { ...logger, warn, warnOnce: warn, error: warn },
      build: { outDir: folder, emptyOutDir: true },
    })
  }
  const scripts = await reached(folder)
  const gzipBytes = scripts.reduce((sum, script) => sum + gzipSync(script).length, 0)
  return { folder, warnings, gzipBytes, code: scripts.join('\n') }
}

/** Parts that are loaded when somebody asks for them by name: the interpreter, and explanations. */
const onRequest = /^(interpret|explain-program)-/

/**
 * The scripts that the page loads. Bundlers also write those that no code refers to: the parts that functions would load
 * which the program does not have.
 */
async function reached(folder: string): Promise<string[]> {
  const texts = new Map<string, string>()
  for (const file of await readdir(folder, { recursive: true })) {
    if (/\.(js|html)$/.test(file)) texts.set(basename(file), await readFile(join(folder, file), 'utf8'))
  }
  const found = new Set(['index.html'])
  for (const file of found) {
    for (const name of texts.keys()) {
      if (!onRequest.test(name) && texts.get(file)?.includes(name)) found.add(name)
    }
  }
  return [...found].filter((file) => file.endsWith('.js')).map((file) => texts.get(file) as string)
}
