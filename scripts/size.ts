/** Prints the lines of every folder of src/, and the files that are longer than a file should be: `npm run size`. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const longFile = 400
const root = fileURLToPath(new URL('../src/', import.meta.url))

const folders = new Map<string, { files: number; source: number; tests: number }>()
const long: { path: string; lines: number }[] = []
for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
  if (!path.endsWith('.ts')) continue
  const lines = readFileSync(root + path, 'utf8').split('\n').length - 1
  const isTest = /\.(test|cases)\.ts$/.test(path)
  const folder = path.split(/[/\\]/).length > 1 ? path.split(/[/\\]/)[0] : '(src)'
  const sums = folders.get(folder) ?? { files: 0, source: 0, tests: 0 }
  sums.files++
  sums[isTest ? 'tests' : 'source'] += lines
  folders.set(folder, sums)
  if (lines > longFile && !isTest) long.push({ path, lines })
}

const row = (...cells: (string | number)[]) =>
  console.log(
    String(cells[0]).padEnd(14) +
      cells
        .slice(1)
        .map((cell) => String(cell).padStart(8))
        .join(''),
  )
row('folder', 'files', 'source', 'tests')
const total = { files: 0, source: 0, tests: 0 }
for (const [folder, { files, source, tests }] of folders) {
  row(folder, files, source, tests)
  total.files += files
  total.source += source
  total.tests += tests
}
row('total', total.files, total.source, total.tests)
for (const { path, lines } of long.sort((a, b) => b.lines - a.lines)) {
  console.log(`\nsrc/${path} has ${lines} lines: more than ${longFile} need a reason, or a file of their own`)
}
