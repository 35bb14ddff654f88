/**
 * What is left to do in dist/ behind the compiler; part of `npm run build`.
 *
 * Source maps keep one place a line: debuggers stop and stack traces point at the right line, and the maps are an
 * eighth of the compiler's, which are as large as the code. The maps of the declarations stay as they are: editors
 * look up single names in them.
 *
 * Files whose source was renamed or removed since an earlier build go, so that they are not published.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decode, encode } from '@jridgewell/sourcemap-codec'

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

async function thin(file: string): Promise<void> {
  const map = JSON.parse(await readFile(file, 'utf8')) as { mappings: string }
  const lines = decode(map.mappings).map((places) => places.slice(0, 1))
  await writeFile(file, JSON.stringify({ ...map, mappings: encode(lines) }))
}

for (const entry of await readdir(at('dist'), { recursive: true, withFileTypes: true })) {
  if (entry.isDirectory()) continue
  const file = join(entry.parentPath, entry.name)
  const source = file.slice(at('dist/').length).replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
  if (!existsSync(join(at('src'), source)) || /\.(test|cases)\.ts$/.test(source)) await rm(file)
  else if (file.endsWith('.js.map')) await thin(file)
}
