/**
 * Holds the imports of src/ against the table in ARCHITECTURE.md: `npm run layers`.
 *
 * The table has one row a folder: `| folder | may import |`. Tests and case records may import anything.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Import, importsOf } from './imports.ts'

/** Folders a folder may import, itself not listed. */
export type Table = ReadonlyMap<string, readonly string[]>

/** What is checked: source text by path below src/, and what package.json lets users install. */
export interface Tree {
  readonly files: ReadonlyMap<string, string>
  readonly packages: readonly string[]
}

interface Edge extends Import {
  /** Path below src/ of the importing file. */
  readonly from: string
  /** Path below src/ of the imported file; undefined for a package. */
  readonly to: string | undefined
}

const machinePackages = ['sharp', 'koffi', 'undici', ...builtinModules]
/** Files of src/platform that run in pages as well. */
const pageFiles = [
  'platform/browser.ts',
  'platform/browser-download.ts',
  'platform/download.ts',
  'platform/platform.ts',
]

/** Reads the first table of a Markdown text that is headed `| folder | may import |`. */
export function readTable(markdown: string): Table {
  const lines = markdown.split('\n')
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replace(/`/g, '').trim())
  const head = lines.findIndex((line) => cells(line).join('|') === 'folder|may import')
  const table = new Map<string, string[]>()
  if (head < 0) return table
  for (let i = head + 2; lines[i]?.startsWith('|'); i++) {
    const [folders, allowed] = cells(lines[i]).map((cell) =>
      cell.split(/[\s,]+/).filter((word) => word !== '—' && word !== ''),
    )
    for (const folder of folders) table.set(folder, allowed)
  }
  return table
}

/** Every finding as a message that says where, what, and what to do about it. */
export function checkLayers(tree: Tree, table: Table): string[] {
  if (table.size === 0) {
    return [
      finding('ARCHITECTURE.md: there is no import table', [
        ['fix', "add a table headed '| folder | may import |', one row a folder"],
      ]),
    ]
  }
  const sources = [...tree.files.keys()].filter((path) => !isExempt(path))
  const edges = sources.flatMap((path) => edgesOf(path, tree.files))
  return [
    ...checkTable(table, sources),
    ...edges.flatMap((edge) => checkEdge(edge, table, tree)),
    ...checkCircles(edges),
  ]
}

function finding(what: string, details: [label: string, value: string][]): string {
  return [what, ...details.map(([label, value]) => `  ${label.padEnd(9)} ${value}`)].join('\n')
}

function isExempt(path: string): boolean {
  return /\.(test|cases)\.ts$/.test(path)
}

/** First folder of a path below src/; a file that lies in src/ itself stands for its own row. */
function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path.replace(/\.ts$/, '')
}

function edgesOf(from: string, files: ReadonlyMap<string, string>): Edge[] {
  return importsOf(files.get(from)!).map(({ specifier, line }) => {
    if (specifier === '#platform') return { from, to: 'platform/node.ts', specifier, line }
    const to = specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined
    return { from, to, specifier, line }
  })
}

function checkTable(table: Table, sources: readonly string[]): string[] {
  const findings: string[] = []
  for (const folder of new Set(sources.map(folderOf))) {
    if (table.has(folder)) continue
    findings.push(
      finding(`src/${folder}: has no row in the import table`, [
        ['fix', `add a row '| ${folder} | … |' to the table in ARCHITECTURE.md`],
      ]),
    )
  }
  for (const [folder, allowed] of table) {
    for (const name of allowed) {
      if (table.has(name)) continue
      const row = showRow(folder, table)
      findings.push(
        finding(`ARCHITECTURE.md: the row of '${folder}' names '${name}', which has no row itself`, [
          ['row', row],
          ['fix', `correct the name, or add a row for '${name}'`],
        ]),
      )
    }
  }
  return findings
}

function showRow(folder: string, table: Table): string {
  return `| ${folder} | ${table.get(folder)?.join(' ') || '—'} |`
}

function checkEdge(edge: Edge, table: Table, { packages }: Tree): string[] {
  const { from, to, specifier, line } = edge
  const where = `src/${from}:${line}: imports '${specifier}'`
  const folder = folderOf(from)
  if (to === undefined) return checkPackage(edge, where, packages)
  if (isExempt(to))
    return [
      finding(`${where}, a file of the tests`, [
        ['fix', 'move what is needed into a source file; tests are not published'],
      ]),
    ]
  const target = folderOf(to)
  if (to.startsWith('..')) return [finding(`${where}, outside src/`, [['fix', 'move the file into a folder of src/']])]
  if (target === folder) {
    if (from !== 'index.ts' && specifier !== '#platform') return []
    return [finding(`${where}, itself`, [['fix', 'import the file that is meant by its relative path']])]
  }
  if (target === 'platform' && specifier !== '#platform') {
    return [
      finding(`${where}, one of the two platforms`, [
        ['fix', "write '#platform': package.json chooses the file for Node or the browser"],
      ]),
    ]
  }
  if (!table.has(folder) || table.get(folder)!.includes(target)) return []
  return [
    finding(`${where}, but ${folder} may not import ${target}`, [
      ['row', showRow(folder, table)],
      [
        'fix',
        `move what is needed to a folder of that row, pass it in as an argument, or change the row in ARCHITECTURE.md and say why`,
      ],
    ]),
  ]
}

function checkPackage({ from, specifier }: Edge, where: string, packages: readonly string[]): string[] {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)![0]
  const ofMachine = specifier.startsWith('node:') || machinePackages.includes(name)
  if (ofMachine && folderOf(from) !== 'platform') {
    return [
      finding(`${where}: only src/platform may`, [
        ['fix', "use a function of '#platform', or add one to node.ts and browser.ts"],
      ]),
    ]
  }
  if (ofMachine && pageFiles.includes(from)) {
    return [finding(`${where}: this file runs in pages`, [['fix', 'move the use to src/platform/node.ts']])]
  }
  if (specifier.startsWith('node:') || builtinModules.includes(name) || packages.includes(name)) return []
  return [
    finding(`${where}, which users would not have`, [
      ['fix', `npm install ${name} (it belongs in dependencies or optionalDependencies), or do without`],
    ]),
  ]
}

// ── circles ──

function checkCircles(edges: readonly Edge[]): string[] {
  const ofFiles = edges.filter(({ to }) => to !== undefined)
  const byFile = circles(ofFiles.map(({ from, to }) => [from, to!]))
  const byFolder = circles(
    ofFiles.map(({ from, to }): [string, string] => [folderOf(from), folderOf(to!)]).filter(([a, b]) => a !== b),
  )
  const show = (circle: string[], between: (a: string, b: string) => Edge) =>
    circle.slice(1).map((to, i): [string, string] => {
      const edge = between(circle[i], to)
      return [i === 0 ? 'imports' : '', `src/${edge.from}:${edge.line} -> '${edge.specifier}'`]
    })
  return [
    ...byFile.map((circle) =>
      finding(`src/${circle[0]}: imports itself in a circle`, [
        ...show(circle, (a, b) => ofFiles.find(({ from, to }) => from === a && to === b)!),
        ['fix', 'move what both sides need to a file of its own'],
      ]),
    ),
    ...byFolder.map((circle) =>
      finding(`src/${circle[0]}: the folder imports itself in a circle`, [
        ...show(circle, (a, b) => ofFiles.find(({ from, to }) => folderOf(from) === a && folderOf(to!) === b)!),
        ['fix', 'move what both sides need to a folder below both'],
      ]),
    ),
  ]
}

/** One shortest circle, first node repeated at the end, for each knot of nodes that reach each other. */
function circles(pairs: readonly (readonly [from: string, to: string])[]): string[][] {
  const next = new Map<string, Set<string>>()
  for (const [from, to] of pairs) next.set(from, (next.get(from) ?? new Set()).add(to))
  const found: string[][] = []
  const seen = new Set<string>()
  for (const start of [...next.keys()].sort()) {
    if (seen.has(start)) continue
    const circle = shortestCircle(start, next)
    if (circle === undefined) continue
    found.push(circle)
    const forward = reachable(start, next)
    for (const node of forward) if (reachable(node, next).has(start)) seen.add(node)
  }
  return found
}

function shortestCircle(start: string, next: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const paths: string[][] = [[start]]
  const visited = new Set<string>()
  for (const path of paths) {
    for (const node of next.get(path.at(-1)!) ?? []) {
      if (node === start) return [...path, start]
      if (visited.has(node)) continue
      visited.add(node)
      paths.push([...path, node])
    }
  }
  return undefined
}

function reachable(start: string, next: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const reached = new Set<string>()
  const open = [start]
  for (const node of open) {
    for (const to of next.get(node) ?? []) {
      if (reached.has(to)) continue
      reached.add(to)
      open.push(to)
    }
  }
  return reached
}

// ── the command ──

function readTree(root: string): Tree {
  const paths = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  const sources = paths.map((path) => path.replaceAll('\\', '/')).filter((path) => path.endsWith('.ts'))
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return {
    files: new Map(sources.sort().map((path) => [path, readFileSync(join(root, 'src', path), 'utf8')])),
    packages: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
  }
}

function main(): void {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const tree = readTree(root)
  const table = readTable(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'))
  const findings = checkLayers(tree, table)
  for (const text of findings) console.error(`${text}\n`)
  if (findings.length > 0) {
    console.error(`layers: ${findings.length} found. Repair them as said above, then run: npm run layers`)
    process.exitCode = 1
  } else console.log(`layers: ${tree.files.size} files keep to the import table of ARCHITECTURE.md`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
