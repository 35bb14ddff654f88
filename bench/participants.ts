/** Who is measured, how each is started, and what keeps it from running here. */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Row } from './ratios.ts'

export interface Participant {
  readonly name: string
  /** Why it can't run here; undefined when it can. */
  readonly missing: () => string | undefined
  readonly command: (threads: number, works: readonly string[]) => readonly [program: string, ...args: string[]]
  /** Whether it is asked for a work. */
  readonly takes?: (work: string) => boolean
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const main = here('../dist/cli/main.js')
const isNetwork = (work: string) => /-b\d+$/.test(work)

function juanji(name: string, options: readonly string[], takes?: Participant['takes']): Participant {
  return {
    name,
    takes,
    missing: () => {
      const [option] = options.filter((text) => text.startsWith('--'))
      const { status, stdout } = spawnSync(process.execPath, [main, 'bench', '--help'], { encoding: 'utf8' })
      if (status !== 0) return 'npm run build'
      return stdout.includes(option) ? undefined : `juanji bench has no ${option} yet`
    },
    command: (threads, works) => [
      process.execPath,
      main,
      'bench',
      '--json',
      '--threads',
      String(threads),
      ...options,
      '--work',
      works.join(','),
    ],
  }
}

/** Debian's PyTorch belongs to Debian's Python, which another python3 may hide. */
const pythons = ['python3', '/usr/bin/python3']

const python = (module: string): string | undefined =>
  pythons.find((program) => spawnSync(program, ['-c', `import ${module}`]).status === 0)

function pytorch(name: string, options: readonly string[], takes?: Participant['takes']): Participant {
  return {
    name,
    takes,
    missing: () => (python('torch') === undefined ? 'python3 has no module torch' : undefined),
    command: (threads, works) => [
      python('torch') ?? pythons[0],
      here('peers/pytorch.py'),
      String(threads),
      ...options,
      ...works,
    ],
  }
}

/** Packages of JavaScript are looked for in the project and in a folder of their own, never among its dependencies. */
function scripted(name: string, script: string, packages: readonly string[], modules: string): Participant {
  const paths = [here('..'), modules]
  const { resolve } = createRequire(import.meta.url)
  return {
    name,
    missing: () => {
      try {
        for (const wanted of packages) resolve(wanted.replace(/(?<=.)@[\d.]+$/, ''), { paths })
        return undefined
      } catch {
        return `npm install --prefix ${modules} ${packages.join(' ')}, or run this with --install`
      }
    },
    command: (threads, works) => [process.execPath, here(script), String(threads), ...works],
    takes: (work) => !isNetwork(work),
  }
}

/** With the versions that are compared with. */
export const peerPackages = ['onnxruntime-web@1.30.0'] as const

/** @param modules folder for packages that are measured */
export const participants = (modules: string): readonly Participant[] => [
  juanji('native', ['--backend', 'native']),
  juanji('precise', ['--precise', '--backend', 'native'], (work) => !isNetwork(work)),
  juanji('bf16', ['--precision', 'bf16', '--backend', 'native'], isNetwork),
  juanji('wasm', ['--backend', 'wasm']),
  pytorch('pytorch', []),
  pytorch('pytorch-bf16', ['--bf16'], isNetwork),
  scripted('onnxruntime-web', 'peers/onnxruntime.mjs', peerPackages, modules),
  scripted('tfjs', 'peers/tfjs.mjs', ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'], modules),
]

/** Runs a participant in a process of its own. @throws Error when it fails */
export function measure(
  participant: Participant,
  threads: number,
  works: readonly string[],
  modules: string,
): readonly Row[] {
  if (works.length === 0) return []
  const [program, ...args] = participant.command(threads, works)
  const env = { ...process.env, NODE_PATH: join(modules, 'node_modules') }
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26, env })
  if (status !== 0) throw new Error(`${participant.name} ended with ${status}:\n${stderr}`)
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row)
}
