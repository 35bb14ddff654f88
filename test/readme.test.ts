import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** The fenced blocks of a language. */
async function blocks(file: string, language: string): Promise<string[]> {
  const text = await readFile(at(file), 'utf8')
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code)
}

test('both languages show the same code and the same output', async () => {
  const uncommented = (code: string) => code.replace(/\s+#.*$/gm, '')
  for (const language of ['ts', 'sh', '']) {
    const [english, chinese] = await Promise.all(['README.md', 'README.zh-CN.md'].map((file) => blocks(file, language)))
    expect(chinese.map(uncommented)).toEqual(english.map(uncommented))
  }
})

/** The same program with less data, so that it takes seconds. */
function small(code: string): string {
  return code
    .replaceAll('datasets.digits()', 'datasets.digits({ trainCount: 300, testCount: 100 })')
    .replace('epochs: 3', 'epochs: 1')
}

test("README's programs run", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'juanji-readme-'))
  try {
    const outputs: string[] = []
    for (const [i, code] of (await blocks('README.md', 'ts')).entries()) {
      const outfile = join(folder, `${i}.mjs`)
      await build({
        stdin: { contents: small(code), resolveDir: at('.'), loader: 'ts' },
        outfile,
        bundle: true,
        format: 'esm',
        platform: 'node',
        external: ['sharp', 'undici'],
        tsconfigRaw: {},
        alias: { juanji: at('src/index.ts'), '#platform': at('src/platform/node.ts') },
      })
      outputs.push((await promisify(execFile)(process.execPath, [outfile])).stdout)
    }
    expect(outputs).toEqual([
      expect.stringMatching(/^\{ loss: \d\.\d+, accuracy: 0\.\d+, samples: 100 \}\n$/),
      '',
      '[ [ 77, 67 ], [ 47, 37 ] ]\n',
    ])
  } finally {
    await rm(folder, { recursive: true })
  }
})
