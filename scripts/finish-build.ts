/**
 * What is left to do in dist/ behind the compiler; part of `npm run build`.
 *
 * Source maps keep one place a line: debuggers stop and stack traces point at the right line, and the maps are an
 * eighth of the compiler's, which are as large as the code. For the same reason the code has no comments and the
 * declarations no maps: comments stand in the declarations, where editors look for them, and in the sources.
 *
 * What an earlier build left behind goes, so that it is not published, and declarations that no program can reach.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decode, encode } from '@jridgewell/sourcemap-codec'
import { transform } from 'esbuild'

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** Folders that are published without sources and maps, by `files` in package.json: the machine room, file formats and data. */
const withoutSources = [
  'cli',
  'kernel',
  'backends',
  'schedule',
  'graph',
  'ops',
  'autodiff',
  'engine',
  'platform',
  'io',
  'data',
]

/** Writes a module anew with half of the compiler's indentation, a tenth of the code, and its map with one place a line. */
async function thin(file: string): Promise<void> {
  const [code, mapText] = await Promise.all([readFile(file, 'utf8'), readFile(`${file}.map`, 'utf8')])
  const comment = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(mapText).toString('base64')}`
  const plain = code.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n')
  const result = await transform(`${plain}${comment}`, { format: 'esm', target: 'esnext', sourcemap: 'external' })
  const { mappings } = JSON.parse(result.map) as { mappings: string }
  const lines = decode(mappings).map((places) => places.slice(0, 1))
  if (withoutSources.some((folder) => file.startsWith(at(`dist/${folder}/`)))) {
    await writeFile(file, result.code)
    await rm(`${file}.map`)
    return
  }
  await writeFile(file, `${result.code}//# sourceMappingURL=${basename(file)}.map\n`)
  await writeFile(`${file}.map`, JSON.stringify({ ...JSON.parse(mapText), mappings: encode(lines) }))
}

/** Whether this build made a file: each source becomes a module, its map and its declarations. */
function isBuilt(file: string): boolean {
  const stem = /^(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(file)?.[1]
  return stem !== undefined && existsSync(join(at('src'), `${stem}.ts`)) && !/\.(test|cases)$/.test(stem)
}

for (const entry of await readdir(at('dist'), { recursive: true, withFileTypes: true })) {
  if (entry.isDirectory()) continue
  const file = join(entry.parentPath, entry.name)
  if (!isBuilt(file.slice(at('dist/').length))) await rm(file)
  else if (file.endsWith('.js')) await thin(file)
}

// Declarations: those that the package's entries lead to.
const entries = ['index.d.ts', 'testing/index.d.ts', 'platform/node.d.ts']
const reached = new Set<string>()
const open = entries.map((entry) => join(at('dist'), entry))
for (let file = open.pop(); file !== undefined; file = open.pop()) {
  if (reached.has(file)) continue
  reached.add(file)
  const text = await readFile(file, 'utf8')
  for (const [, name] of text.matchAll(/(?:from|import) ?\(?['"](\.[^'"]+)\.(?:js|ts)['"]/g))
    open.push(`${join(dirname(file), name)}.d.ts`)
}
for (const entry of await readdir(at('dist'), { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name)
  if (file.endsWith('.d.ts') && !reached.has(file)) await rm(file)
}
