import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkLayers, readTable } from './check-layers.ts'
import { importsOf } from './imports.ts'

const table = readTable(`
| folder | may import |
|---|---|
| base | — |
| \`platform\` | base |
| graph | base |
| ops | base graph |
| nn optim | base ops |
| index | base ops nn optim |
`)

function check(files: Record<string, string>): string[] {
  return checkLayers({ files: new Map(Object.entries(files)), packages: ['sharp', 'commander'] }, table)
}

describe('importsOf', () => {
  const specifiers = (source: string) => importsOf(source).map(({ specifier }) => specifier)

  it('finds every kind of import', () => {
    const source = `import a from './a.ts'
import { b, type B } from "./b.ts"
import type { C } from './c.ts'
import * as d from './d.ts'
import './e.ts'
export { f } from './f.ts'
export * from './g.ts'
export type { H } from './h.ts'
const i = await import('./i.ts')
type J = import('./j.ts').J
import {
  k,
  from,
} from './k.ts'
export interface L { from: string }
import m, { n } from './m.ts'
const o = await import(
  './o.ts'
)`
    expect(specifiers(source)).toEqual('abcdefghijkmo'.split('').map((name) => `./${name}.ts`))
    expect(importsOf(source).find(({ specifier }) => specifier === './k.ts')!.line).toBe(14)
  })

  it('is not misled by comments, strings, templates and regular expressions', () => {
    const source = `// import a from './a.ts'
/* import b from './b.ts'
*/
/** @example import c from './c.ts' */
const d = "import d from './d.ts'" + 'it\\'s import("./e.ts")'
const f = \`
import f from './f.ts' \${g ? \`import '\${h}'\` : { i: "}" }.i} import './j.ts'
\`
const k = /['"\`]import '.\\/k.ts'/.test(d) ? 4 / 2 : x.split(/[/'"]/)
const l = a / b / c; const from = '5'
x.import('./l.ts')
import m from './m.ts'`
    expect(specifiers(source)).toEqual(['./m.ts'])
    expect(importsOf(source)[0].line).toBe(12)
  })
})

describe('readTable', () => {
  it('reads rows, several folders a row, and the dash', () => {
    expect(Object.fromEntries(table)).toEqual({
      base: [],
      platform: ['base'],
      graph: ['base'],
      ops: ['base', 'graph'],
      nn: ['base', 'ops'],
      optim: ['base', 'ops'],
      index: ['base', 'ops', 'nn', 'optim'],
    })
  })

  it('finds the table of ARCHITECTURE.md, whose folders only import those above them', () => {
    const own = readTable(readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8'))
    expect(own.size).toBeGreaterThan(15)
    const names = [...own.keys()]
    for (const [folder, allowed] of own) {
      for (const name of allowed)
        expect(names.indexOf(name), `${folder} imports ${name}`).toBeLessThan(names.indexOf(folder))
    }
  })
})

describe('checkLayers', () => {
  it('is content with what the table allows, and with tests that import anything', () => {
    expect(
      check({
        'base/a.ts': '',
        'platform/node.ts': "import fs from 'node:fs'\nimport sharp from 'sharp'\nimport '../base/a.ts'",
        'graph/a.ts': "import '../base/a.ts'\nimport './b.ts'",
        'graph/b.ts': '',
        'graph/a.test.ts': "import 'vitest'\nimport '../nn/a.ts'",
        'ops/conv/a.ts': "import '../../graph/a.ts'\nimport './b.ts'",
        'ops/conv/a.cases.ts': "import '../../nn/a.ts'",
        'ops/conv/b.ts': "import 'commander'",
        'nn/a.ts': "import type { A } from '../ops/conv/a.ts'",
        'index.ts': "export { a } from './nn/a.ts'",
      }),
    ).toEqual([])
  })

  it('names file, import and row of an import outside the table', () => {
    expect(check({ 'graph/a.ts': "\nimport type { A } from '../ops/a.ts'", 'ops/a.ts': '' })).toEqual([
      `src/graph/a.ts:2: imports '../ops/a.ts', but graph may not import ops
  row       | graph | base |
  fix       move what is needed to a folder of that row, pass it in as an argument, or change the row in ARCHITECTURE.md and say why`,
    ])
    expect(check({ 'base/a.ts': "import '#platform'", 'platform/node.ts': '' })[0]).toContain(
      "src/base/a.ts:1: imports '#platform', but base may not import platform\n  row       | base | — |",
    )
    expect(check({ 'graph/a.ts': "import '../index.ts'", 'index.ts': '' })[0]).toContain('graph may not import index')
  })

  it('finds circles between files and between folders, once each', () => {
    expect(
      check({
        'graph/a.ts': "import './b.ts'",
        'graph/b.ts': "import type { C } from './c.ts'",
        'graph/c.ts': "import './a.ts'",
        'graph/d.ts': "import './a.ts'",
      }),
    ).toEqual([
      `src/graph/a.ts: imports itself in a circle
  imports   src/graph/a.ts:1 -> './b.ts'
            src/graph/b.ts:1 -> './c.ts'
            src/graph/c.ts:1 -> './a.ts'
  fix       move what both sides need to a file of its own`,
    ])
    const mutual = readTable('| folder | may import |\n|-|-|\n| graph | ops |\n| ops | graph |')
    const files = new Map([
      ['graph/a.ts', "import '../ops/a.ts'"],
      ['ops/a.ts', ''],
      ['ops/b.ts', "import '../graph/a.ts'"],
    ])
    expect(checkLayers({ files, packages: [] }, mutual)).toEqual([
      `src/graph: the folder imports itself in a circle
  imports   src/graph/a.ts:1 -> '../ops/a.ts'
            src/ops/b.ts:1 -> '../graph/a.ts'
  fix       move what both sides need to a folder below both`,
    ])
  })

  it('keeps the machine inside src/platform, and out of its page files', () => {
    for (const name of ['node:fs', 'fs/promises', 'worker_threads', 'sharp', 'koffi']) {
      expect(check({ 'graph/a.ts': `const m = await import('${name}')` })).toEqual([
        `src/graph/a.ts:1: imports '${name}': only src/platform may
  fix       use a function of '#platform', or add one to node.ts and browser.ts`,
      ])
    }
    expect(check({ 'platform/browser.ts': "import 'node:fs'" })[0]).toContain('this file runs in pages')
    expect(check({ 'platform/node.ts': '', 'nn/a.ts': "import '../platform/node.ts'" })[0]).toContain(
      "write '#platform'",
    )
  })

  it('finds packages users would not have, tests in sources, unknown folders and an unreadable table', () => {
    expect(check({ 'graph/a.ts': "import 'fast-check'" })[0]).toBe(
      `src/graph/a.ts:1: imports 'fast-check', which users would not have
  fix       npm install fast-check (it belongs in dependencies or optionalDependencies), or do without`,
    )
    expect(check({ 'graph/a.ts': "import './b.cases.ts'", 'graph/b.cases.ts': '' })[0]).toContain('a file of the tests')
    expect(check({ 'graph/a.ts': "import '../../bench/a.ts'" })[0]).toContain('outside src/')
    expect(check({ 'index.ts': "import '../package.json'" })[0]).toContain('outside src/')
    expect(check({ 'utils/a.ts': '' })).toEqual([
      `src/utils: has no row in the import table
  fix       add a row '| utils | … |' to the table in ARCHITECTURE.md`,
    ])
    const wrong = readTable('| folder | may import |\n|-|-|\n| graph | bases |')
    expect(checkLayers({ files: new Map(), packages: [] }, wrong)[0]).toContain(
      "names 'bases', which has no row itself",
    )
    expect(checkLayers({ files: new Map(), packages: [] }, readTable('nothing'))[0]).toContain(
      'there is no import table',
    )
  })
})
