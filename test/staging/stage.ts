/** The package as users get it: the working tree built and packed beside it, so that dist/ is neither trusted nor touched. */
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a program to its end, whatever that is. Its environment tells it neither of vitest nor of the npm above it. */
export async function outcomeOf(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(command|lifecycle_|package_)|NODE_ENV$|NODE_OPTIONS$|VITEST)/.test(name),
  )
  const env = { ...Object.fromEntries(inherited), NO_COLOR: '1', ...options.env }
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: options.cwd, env, maxBuffer: 1 << 26 })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as Partial<Outcome>
    if (typeof code !== 'number') throw error
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' }
  }
}

/** Runs a program that has to succeed. @throws Error with all it said */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const outcome = await outcomeOf(program, args, options)
  if (outcome.code === 0) return outcome
  throw new Error(
    `${[basename(program), ...args].join(' ')} ended with ${outcome.code}\n${outcome.stdout}${outcome.stderr}`,
  )
}

const leftOut = new Set(['node_modules', 'dist', '.git', 'runs', 'coverage'])

/**
 * Copies the working tree to `folder/stage` and builds it there. Programs inside import it as `juanji`, as a package
 * may import itself.
 * @returns the folder of the copy
 */
export async function stagePackage(folder: string): Promise<string> {
  const stage = join(folder, 'stage')
  await mkdir(stage, { recursive: true })
  for (const name of await readdir(root)) {
    if (!leftOut.has(name) && !name.endsWith('.tgz')) await cp(join(root, name), join(stage, name), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(stage, 'node_modules'), 'junction')
  await run('npm', ['run', 'build'], { cwd: stage })
  return stage
}

/** Packs what `stagePackage` built. @returns the tarball */
export async function packStaged(stage: string, folder: string): Promise<string> {
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: stage })
  return join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz')) as string)
}
