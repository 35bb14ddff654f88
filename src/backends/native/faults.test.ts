import { spawn } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UnsupportedError } from '../../base/errors.ts'
import { createDevice, onDefaultDevice, useDevice } from '../../engine/index.ts'
import { compile, tensor } from '../../index.ts'
import { KernelBuilder } from '../../kernel/build.ts'
import * as e from '../../kernel/expression.ts'
import { whyNoNative } from '../../testing/why-no-native.ts'
import { createNativeBackend, type NativeBackend, type NativeOptions } from './index.ts'

const missing = await whyNoNative()

let folder: string
let cache: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-faults-'))
  cache = join(folder, 'kernels')
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** A kernel of its own for each number: y[task] = task + number. */
async function compute(backend: NativeBackend, number: number): Promise<number[]> {
  const k = new KernelBuilder(backend.target)
  const y = k.buffer('y', 'i32', 'output')
  k.task((task) => k.store(k.point(y, task), e.add(task, number)))
  const kernel = k.build(`plus${number}`, `plus${number}`)
  const block = backend.allocate(12)
  const places = [{ region: 0, offset: 0 }]
  const table = backend.load([{ kernel, places, scratch: [], params: [], tasks: 3, work: 3 }], 1)
  try {
    await backend.run(table, [block])
    return [...(await backend.read(block, 0, 'i32', 3))]
  } finally {
    table.release()
    backend.free(block)
  }
}

async function withBackend<T>(options: NativeOptions, body: (backend: NativeBackend) => Promise<T>): Promise<T> {
  const backend = await createNativeBackend({ threads: 1, cache, ...options })
  try {
    return await body(backend)
  } finally {
    await backend.close()
  }
}

/** A compiler that is a shell script; `real` in it is the system's compiler with all arguments. */
async function fakeCompiler(script: string): Promise<string> {
  const path = join(folder, 'fake-cc')
  await writeFile(path, `#!/bin/sh\nreal() { cc "$@"; }\n${script}\n`)
  await chmod(path, 0o755)
  return path
}

async function refusal(options: NativeOptions): Promise<string> {
  const error = await createNativeBackend({ threads: 1, cache, ...options }).catch((reason) => reason)
  expect(error).toBeInstanceOf(UnsupportedError)
  return (error as UnsupportedError).problem.what
}

const libraries = async () => (await readdir(cache)).filter((name) => name.endsWith('.so'))

describe.skipIf(missing !== undefined)(`the cache of kernels ${missing ?? ''}`, () => {
  it('belongs to the user alone, and what is in it is not compiled again', async () => {
    await withBackend({}, async (backend) => {
      expect(await compute(backend, 1)).toEqual([1, 2, 3])
      expect(backend.kernels.compiled).toBe(1)
    })
    expect((await stat(cache)).mode & 0o777).toBe(0o700)
    expect(await libraries()).toHaveLength(2)
    await withBackend({}, async (backend) => {
      expect(await compute(backend, 1)).toEqual([1, 2, 3])
      expect(backend.kernels.compiled).toBe(0)
    })
  })

  it.each([
    ['cut short', (content: Buffer) => content.subarray(0, 100)],
    ['empty', () => Buffer.alloc(0)],
    ['changed', (content: Buffer) => Buffer.concat([content, Buffer.from('x')])],
    ['replaced by a text', () => Buffer.from('no library')],
  ])('a library that was %s is made again', async (_name, damage) => {
    await withBackend({}, (backend) => compute(backend, 1))
    for (const name of await libraries()) {
      const path = join(cache, name)
      const content = await readFile(path)
      // In a new file: the old one is loaded in this process.
      await rm(path)
      await writeFile(path, damage(content), { mode: 0o700 })
    }
    await withBackend({}, async (backend) => {
      expect(await compute(backend, 1)).toEqual([1, 2, 3])
      expect(backend.kernels.compiled).toBe(1)
    })
    expect(await libraries()).toHaveLength(2)
  })

  it('a file that others can write is not trusted', async () => {
    await withBackend({}, (backend) => compute(backend, 1))
    for (const name of await libraries()) await chmod(join(cache, name), 0o722)
    await withBackend({}, async (backend) => {
      await compute(backend, 1)
      expect(backend.kernels.compiled).toBe(1)
    })
  })

  it('kernels for other instructions are other kernels', async () => {
    await withBackend({ instructions: 'plain' }, (backend) => compute(backend, 1))
    const best = await createNativeBackend({ threads: 1, cache })
    const same = best.target.name === 'native-plain'
    expect(await compute(best, 1)).toEqual([1, 2, 3])
    expect(best.kernels.compiled).toBe(same ? 0 : 1)
    await best.close()
  })

  it('several processes fill it at once', async () => {
    const program = `
      import { createNativeBackend } from '${new URL('./index.ts', import.meta.url)}'
      import { KernelBuilder } from '${new URL('../../kernel/build.ts', import.meta.url)}'
      const backend = await createNativeBackend({ threads: 2, cache: process.argv[2] })
      for (let i = 0; i < 4; i++) {
        const k = new KernelBuilder(backend.target)
        const y = k.buffer('y', 'i32', 'output')
        k.task((task) => k.store(k.point(y, task), { op: 'const', type: { kind: 'i32', lanes: 1 }, value: i }))
        const block = backend.allocate(4)
        const kernel = k.build('constant', String(i))
        const table = backend.load([{ kernel, places: [{ region: 0, offset: 0 }], scratch: [], params: [], tasks: 1, work: 1e9 }], 1)
        await backend.run(table, [block])
        console.log((await backend.read(block, 0, 'i32', 1))[0])
      }`
    const file = join(folder, 'program.mts')
    await writeFile(file, program)
    const root = fileURLToPath(new URL('../../../', import.meta.url))
    const run = () =>
      new Promise<string>((done) => {
        const child = spawn(process.execPath, ['--import', 'tsx', file, cache], {
          cwd: root,
          stdio: ['ignore', 'pipe', 'inherit'],
          env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') },
        })
        let output = ''
        child.stdout.on('data', (chunk) => {
          output += chunk
        })
        child.on('close', (code) => done(`${code}: ${output.trim().split('\n').join(' ')}`))
      })
    expect(await Promise.all([run(), run(), run()])).toEqual(Array(3).fill('0: 0 1 2 3'))
    expect((await readdir(cache)).filter((name) => !name.endsWith('.so'))).toEqual([])
    await withBackend({ threads: 2 }, async (backend) => expect(backend.notice).toBeUndefined())
  })

  it('a folder that cannot be used is replaced for this run', async () => {
    await withBackend({ cache: '/proc/juanji/kernels' }, async (backend) => {
      expect(backend.notice).toMatch(/^compiled kernels cannot be kept \(.+\): they are made anew in every run$/)
      expect(await compute(backend, 1)).toEqual([1, 2, 3])
    })
  })

  it.skipIf(process.getuid?.() !== 0)('a folder of somebody else is not used (needs root)', async () => {
    await mkdir(cache)
    await chown(cache, 12345, 12345)
    await withBackend({}, async (backend) => {
      expect(backend.notice).toBe(
        `compiled kernels cannot be kept (${cache} belongs to another user): they are made anew in every run`,
      )
      expect(await compute(backend, 1)).toEqual([1, 2, 3])
    })
    expect(await readdir(cache)).toEqual([])
  })
})

describe.skipIf(missing !== undefined)(`the compiler ${missing ?? ''}`, () => {
  it('is not there', async () => {
    expect(await refusal({ compiler: 'no-such-cc' })).toBe("there is no compiler 'no-such-cc'")
  })

  it('fails', async () => {
    const compiler = await fakeCompiler('cat > /dev/null; echo "no licence" >&2; exit 3')
    expect(await refusal({ compiler })).toBe(`the runtime could not be compiled: ${compiler}: no licence`)
  })

  it('is killed', async () => {
    const compiler = await fakeCompiler('kill -9 $$')
    expect(await refusal({ compiler })).toBe(`the runtime could not be compiled: ${compiler}: signal SIGKILL`)
    expect(await readdir(cache)).toEqual([])
  })

  it('hangs', async () => {
    const compiler = await fakeCompiler('sleep 1000')
    const what = await refusal({ compiler, compilerTimeoutMs: 300 })
    expect(what).toBe(`the runtime could not be compiled: ${compiler}: it was stopped after 0.3 s`)
  })

  it('writes something that is no library', async () => {
    const compiler = await fakeCompiler('cat > /dev/null; while [ "$1" != -o ]; do shift; done; echo hello > "$2"')
    expect(await refusal({ compiler })).toMatch(/file too short|invalid ELF header|not a mach-o/i)
  })
})

const noKernels =
  'source=$(cat); case "$source" in *napi_register_module_v1*) printf "%s" "$source" | real "$@";; *) exit 1;; esac'

describe.skipIf(missing !== undefined)(`what computes instead ${missing ?? ''}`, () => {
  it('WebAssembly, with one line of notice, where there is no compiler', async () => {
    vi.stubEnv('JUANJI_BACKEND', '')
    vi.stubEnv('JUANJI_CC', 'no-such-cc')
    const notices: string[] = []
    const device = await createDevice({ threads: 1, onNotice: (text) => notices.push(text) })
    expect(device.target.name).toMatch(/^wasm/)
    expect(notices).toEqual([
      "WebAssembly computes, several times slower than machine code: there is no compiler 'no-such-cc'. " +
        'install one (Debian: apt install gcc; macOS: xcode-select --install), or name one with JUANJI_CC',
    ])
    await device.close()
  })

  it('an error where native was asked for', async () => {
    vi.stubEnv('JUANJI_CC', 'no-such-cc')
    await expect(createDevice({ backend: 'native' })).rejects.toThrow("there is no compiler 'no-such-cc'")
  })

  it('WebAssembly from the first kernel on that cannot be compiled', async () => {
    vi.stubEnv('JUANJI_CC', await fakeCompiler(noKernels))
    vi.stubEnv('JUANJI_CACHE', folder)
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const native = await createDevice({ backend: 'native', threads: 1 })
    const previous = await useDevice(native)
    try {
      const twice = compile((x: ReturnType<typeof tensor>) => x.mul(2).add(0.5))
      expect(await (await twice(tensor([1, 2, 3]))).array()).toEqual([2.5, 4.5, 6.5])
      expect(await onDefaultDevice(async (device) => device.target.name)).toMatch(/^wasm/)
      expect(await (await twice(tensor([1, 2, 3]))).array()).toEqual([2.5, 4.5, 6.5])
      expect(warn).toHaveBeenCalledTimes(1)
      expect(warn.mock.calls[0][0]).toMatch(
        /^juanji: WebAssembly computes from here on, several times slower than machine code: kernel .+ could not be compiled: .+fake-cc: exit code 1$/,
      )
    } finally {
      if (previous !== undefined) await useDevice(previous)
      await native.close()
    }
  })

  it('small expressions start no compiler', async () => {
    const native = await createDevice({ backend: 'native', threads: 1 })
    const previous = await useDevice(native)
    const before = native.backend.kernels.cached
    try {
      expect(await tensor([1, 2, 3]).mul(3).sum().data()).toEqual(Float32Array.of(18))
      expect(native.backend.kernels.cached).toBe(before)
    } finally {
      if (previous !== undefined) await useDevice(previous)
      await native.close()
    }
  })
})
