/** The tarball, installed as users install it: what is in it, and that programs and the command work from it. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readBlocks, small } from './staging/documents.ts'
import { outcomeOf, packStaged, root, run, stagePackage } from './staging/stage.ts'

const mostBytes = 3_000_000

let folder: string
let tarball: string
/** The unpacked tarball: every file by its path, with its text. */
const files = new Map<string, string>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-package-'))
  tarball = await packStaged(await stagePackage(folder), folder)
  const unpacked = join(folder, 'unpacked')
  await mkdir(unpacked)
  await run('tar', ['xzf', tarball, '-C', unpacked, '--strip-components=1'])
  for (const entry of await readdir(unpacked, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue
    const file = join(entry.parentPath, entry.name)
    files.set(file.slice(unpacked.length + 1).replaceAll('\\', '/'), await readFile(file, 'utf8'))
  }
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** The declarations that some refer to, these included. */
function reachable(...from: string[]): Set<string> {
  const found = new Set(from)
  for (const file of found) {
    for (const [, path] of (files.get(file) as string).matchAll(/(?:from|import\() ?'(\.[^']+)\.ts'/g)) {
      found.add(new URL(`${path}.d.ts`, `file:///${file}`).pathname.slice(1))
    }
  }
  return found
}

describe('the tarball', () => {
  it('holds the build, its sources and the documents, and nothing else', () => {
    const top = new Set([...files.keys()].map((file) => file.split('/')[0]))
    expect([...top].sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'README.zh-CN.md',
      'dist',
      'package.json',
      'src',
    ])
    const modules = [...files.keys()]
      .filter((file) => file.startsWith('src/'))
      .map((file) => file.slice('src/'.length, -'.ts'.length))
    const inDist = (end: string) => [...files.keys()].filter((file) => file.startsWith('dist/') && file.endsWith(end))
    // The command, the machine room, file formats and data are there without their sources.
    const built = (end: string) => modules.map((name) => `dist/${name}${end}`).sort()
    expect(inDist('.js.map').sort()).toEqual(built('.js.map'))
    const code = inDist('.js').filter(
      (file) => !/^dist\/(cli|kernel|backends|schedule|graph|ops|autodiff|engine|platform|io|data)\//.test(file),
    )
    expect(code.sort()).toEqual(built('.js'))
    const declarations = reachable('dist/index.d.ts', 'dist/testing/index.d.ts', 'dist/platform/node.d.ts')
    expect(inDist('.d.ts').sort()).toEqual([...declarations].sort())
    expect(modules.filter((name) => /\.(test|cases)$/.test(name))).toEqual([])
  })

  it(`is at most ${mostBytes / 1e6} MB unpacked`, () => {
    const bytes = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    console.log(`unpacked: ${(bytes / 1e6).toFixed(2)} MB in ${files.size} files`)
    expect(bytes).toBeLessThanOrEqual(mostBytes)
  })

  it('has source maps that lead to its sources', () => {
    for (const [file, text] of files) {
      if (!file.endsWith('.map')) continue
      const { sources } = JSON.parse(text) as { sources: string[] }
      const led = sources.map((source) => new URL(source, `file:///${file}`).pathname.slice(1))
      expect(led, file).toEqual([file.replace(/^dist\//, 'src/').replace(/\.js\.map$/, '.ts')])
    }
  })

  it('has declarations that TypeScript 5.0 can read', () => {
    // Of what has come since, this alone slips in: typed arrays take an argument from 5.7 on.
    const wrong = [...reachable('dist/index.d.ts', 'dist/testing/index.d.ts')].flatMap((file) =>
      (files.get(file) as string)
        .split('\n')
        .filter((line) => /\b\w+Array<Array/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no script that npm runs, or warns of, when it is installed', () => {
    const { scripts } = JSON.parse(files.get('package.json') as string) as { scripts: Record<string, string> }
    const atInstall = /^(pre|post)?install$|^prepublish$|^prepare$/
    expect(Object.keys(scripts).filter((name) => atInstall.test(name))).toEqual([])
  })
})

/** What npm says where its cache lacks a package and it reaches no registry. */
const unreachable = /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|ENOTCACHED/

const noDependencies = 'the npm cache lacks the dependencies, and no registry is reachable'

/** Makes an empty project with the tarball in it. @returns whether its dependencies could be had */
async function install(project: string, ...options: string[]): Promise<boolean> {
  await mkdir(project)
  await writeFile(join(project, 'package.json'), '{ "name": "project", "private": true, "type": "module" }')
  // What `npm ci` has fetched for this tree is in npm's cache: no network is needed where it was run.
  const quick = ['--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier', '--fetch-retry-mintimeout=500']
  const { code, stdout, stderr } = await outcomeOf('npm', ['install', tarball, ...quick, ...options], { cwd: project })
  if (code !== 0 && unreachable.test(stderr)) {
    console.log(`tests of ${project} are skipped: ${noDependencies}`)
    return false
  }
  expect(`${stdout}${stderr}`).toMatch(/^\s*added \d+ packages? in \S+\s*$/)
  return true
}

/** Writes the README's programs into a project. @returns their names without extension */
async function writePrograms(project: string, extension: string): Promise<string[]> {
  const programs = (await readBlocks(join(root, 'README.md'))).filter(({ language }) => language === 'ts')
  expect(programs.length).toBeGreaterThanOrEqual(3)
  for (const [i, { code }] of programs.entries()) {
    await writeFile(join(project, `readme-${i}.${extension}`), small(code).replace('epochs: 3', 'epochs: 1'))
  }
  return programs.map((_, i) => `readme-${i}`)
}

async function runPrograms(project: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { stdout, stderr } = await run(process.execPath, [`${name}.js`], { cwd: project })
    expect(stderr, name).toBe('')
    if (name === 'readme-2') expect(stdout).toBe('[ [ 77, 67 ], [ 47, 37 ] ]\n')
  }
}

/** Trains with the command; no warning, and a whole model. */
async function trainDigits(project: string): Promise<string> {
  const argv = ['juanji', 'train', 'digits', '--limit', '200', '--epochs', '1', '--out', 'runs/first', '--json']
  const { stdout, stderr } = await run('npx', argv, { cwd: project })
  expect(stderr).not.toMatch(/warn/i)
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) as string)).toMatchObject({ event: 'done' })
  const model = join(project, 'runs', 'first')
  expect(await readdir(model)).toEqual(expect.arrayContaining(['data.json', 'history.jsonl', 'model.json']))
  expect((await stat(join(model, 'weights.safetensors'))).size).toBeGreaterThan(4e6)
  return 'runs/first'
}

/** Draws a grey 28×28 picture with sharp, which is this tree's own. */
async function drawPicture(file: string): Promise<void> {
  const { default: sharp } = await import('sharp')
  await sharp(new Uint8Array(28 * 28), { raw: { width: 28, height: 28, channels: 1 } })
    .png()
    .toFile(file)
}

describe('installed with optional dependencies', () => {
  let project: string
  let isThere = false
  beforeAll(async () => {
    project = join(folder, 'whole')
    isThere = await install(project)
  }, 120_000)
  beforeEach(({ skip }) => skip(!isThere, noDependencies))

  it("runs README's programs as JavaScript", async () => {
    await runPrograms(project, await writePrograms(project, 'js'))
  })

  // Libraries and module settings that users have; the first one also emits what is run.
  const settings = {
    'nodenext, the default libraries': { module: 'nodenext', outDir: 'typed' },
    "a bundler's resolution, no DOM, types of Node": {
      module: 'esnext',
      moduleResolution: 'bundler',
      lib: ['es2022'],
      types: ['node'],
      noEmit: true,
    },
    'node16, the strictest options, DOM, no types of Node': {
      module: 'node16',
      lib: ['es2022', 'dom'],
      noEmit: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
    },
  }
  it.each(Object.entries(settings))("type-checks README's programs: %s", async (_, given) => {
    const names = await writePrograms(project, 'ts')
    await writeFile(
      join(project, 'testing.ts'),
      `import { tensor } from 'juanji'
import { checkGradients } from 'juanji/testing'
await checkGradients((x) => x.mul(x).sum(), [tensor([1, 2, 3])])
`,
    )
    const compilerOptions = {
      target: 'es2022',
      types: [],
      typeRoots: [join(root, 'node_modules', '@types')],
      strict: true,
      skipLibCheck: false,
      ...given,
    }
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
    await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc')], { cwd: project })
    if ('outDir' in given) {
      await runPrograms(
        project,
        [...names, 'testing'].map((name) => join(given.outDir, name)),
      )
    }
  })

  it('points at its sources in stack traces', async () => {
    await writeFile(
      join(project, 'wrong.js'),
      `import { tensor } from 'juanji'
tensor([[1], [2, 3]])
`,
    )
    const { stderr } = await outcomeOf(process.execPath, ['--enable-source-maps', 'wrong.js'], { cwd: project })
    const [, file, line] = /node_modules\/juanji\/(src\/\S+\.ts):(\d+):\d+/.exec(stderr) ?? []
    expect(file, stderr).toBeDefined()
    expect(files.get(file)?.split('\n')[Number(line) - 1]).toContain('new ShapeError')
  })

  it('has a command that trains and says what is in a picture', async () => {
    const model = await trainDigits(project)
    await drawPicture(join(project, 'black.png'))
    const { stdout, stderr } = await run('npx', ['juanji', 'predict', model, 'black.png'], { cwd: project })
    expect(stdout).toContain('black.png')
    expect(stderr).toBe('')
  })
})

describe('installed with --omit=optional', () => {
  it('trains, and says what to install for pictures', async ({ skip }) => {
    const project = join(folder, 'bare')
    skip(!(await install(project, '--omit=optional')), noDependencies)
    expect(await readdir(join(project, 'node_modules'))).not.toContain('sharp')
    const model = await trainDigits(project)
    await drawPicture(join(project, 'black.png'))
    const { code, stdout, stderr } = await outcomeOf('npx', ['juanji', 'predict', model, 'black.png'], { cwd: project })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/\n {2}fix {7}npm install sharp\n$/)
  })
})
