/**
 * What README and guide show is what happens. Programs (```ts) run; commands (```sh) run where `<!-- run -->` stands
 * above them; a ```text block behind one of the two has to be its output, where `…` stands for what is left out, and a
 * comment behind a console.log what that prints.
 *
 * What takes minutes runs smaller: programs with fewer digits, commands as `<!-- run: npx juanji … -->` gives them.
 * Then numbers are not compared. UPDATE_DOCUMENTS=1 runs all of it as it stands there, and writes the outputs that are
 * no longer right into both languages.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Block, readBlocks, small } from './staging/documents.ts'
import { root, run, stagePackage } from './staging/stage.ts'

const guide = join(root, 'docs', 'guide')
const documents = [
  join(root, 'README.md'),
  join(root, 'examples', 'README.md'),
  ...(await readdir(guide)).filter((name) => /^[^.]+\.md$/.test(name)).map((name) => join(guide, name)),
]
const chineseOf = (document: string) => document.replace(/\.md$/, '.zh-CN.md')
const update = process.env.UPDATE_DOCUMENTS === '1'

describe.each(documents.map((document) => ({ document, name: relative(root, document) })))('$name', ({ document }) => {
  test('shows the same code and output in both languages', async () => {
    const uncommented = ({ language, code, remark }: Block) => {
      return { language, remark, code: language === 'sh' ? code.replace(/\s+#.*$/gm, '') : code }
    }
    const [english, chinese] = await Promise.all([document, chineseOf(document)].map(readBlocks))
    expect(chinese.map(uncommented)).toEqual(english.map(uncommented))
  })

  test('links to files that exist', async () => {
    for (const file of [document, chineseOf(document)]) {
      const links = [...(await readFile(file, 'utf8')).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, to]) => to)
      expect(links.filter((to) => !existsSync(join(dirname(file), to)))).toEqual([])
    }
  })
})

/** Numbers, durations and the width of columns taken out: what is left does not depend on how much data there was. */
function words(text: string): string {
  return text
    .replace(/(\d+ h )?(\d+ min )?\d(\d|[,.](?=\d))*/g, '#')
    .replace(/ +/g, ' ')
    .trim()
}

/** Whether an output is what the document says: `…` is anything in its line, alone in a line any number of lines. */
function matches(said: string, output: string): boolean {
  const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const lines = said.split('\n').map((line) => {
    return line.trim() === '…' ? '(.*\\n)*?' : `${line.split('…').map(escaped).join('.*?')}\\n`
  })
  return new RegExp(`^${lines.join('')}$`).test(`${output}\n`)
}

interface Command {
  readonly program: 'juanji' | 'tsx'
  readonly argv: readonly string[]
}

/** The commands of a block. */
function commandsOf(text: string): Command[] {
  const lines = text.replace(/\\\n/g, ' ').replace(/(^|\s)#.*$/gm, '')
  return lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const argv = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
      if (argv[0] === 'npx') argv.shift()
      const program = argv.shift()
      if (program === 'juanji' || program === 'tsx') return { program, argv }
      throw new Error(`only juanji and tsx are run, not: ${line}`)
    })
}

describe('what is shown happens', () => {
  let folder: string
  let stage: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'juanji-documents-'))
    stage = await stagePackage(folder)
  }, 120_000)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** The output of a program or of commands, and whether it was made with less data. */
  async function outputOf(block: Block, cwd: string): Promise<{ output: string; smaller: boolean } | undefined> {
    const { language, remark = '' } = block
    if (language === 'ts') {
      const program = update ? block.code : small(block.code)
      const file = join(cwd, `program-${block.line}.mjs`)
      await writeFile(file, (await transform(program, { loader: 'ts', format: 'esm', target: 'es2022' })).code)
      const { stdout } = await run(process.execPath, [file], { cwd })
      const told = [...block.code.matchAll(/^console\.log\(.*\) \/\/ (.*)$/gm)].map(([, comment]) => `${comment}\n`)
      if (told.length > 0) expect(stdout).toBe(told.join(''))
      return { output: stdout, smaller: program !== block.code }
    }
    if (language !== 'sh' || !/^run\b/.test(remark)) return undefined
    // npm itself is never run, not even when all of it is.
    const other = update && !block.code.startsWith('npm ') ? undefined : /^run: (.*)$/.exec(remark)?.[1]
    let output = ''
    for (const { program, argv } of commandsOf(other ?? block.code)) {
      const script = { juanji: 'dist/cli/main.js', tsx: 'node_modules/tsx/dist/cli.mjs' }[program]
      // Examples are named from the root. The variable says that npx has started it.
      const options = { cwd: program === 'tsx' ? stage : cwd, env: { npm_command: 'exec' } }
      output += (await run(process.execPath, [join(stage, script), ...argv], options)).stdout
    }
    return { output, smaller: other !== undefined }
  }

  /** Puts an output in the place of an old one; where that ended in `…`, as many lines of it as before. */
  async function replace(document: string, index: number, output: string): Promise<void> {
    for (const file of [document, chineseOf(document)]) {
      const { line, code } = (await readBlocks(file))[index]
      const old = code.trimEnd().split('\n')
      const whole = output.trimEnd().split('\n')
      const lines = (await readFile(file, 'utf8')).split('\n')
      lines.splice(line, old.length, ...(old.at(-1) === '…' ? [...whole.slice(0, old.length - 1), '…'] : whole))
      await writeFile(file, lines.join('\n'))
    }
  }

  test.each(documents.map((document) => ({ document, name: relative(root, document) })))(
    '$name',
    async ({ document }) => {
      const cwd = await mkdtemp(join(stage, 'document-'))
      let last: { output: string; smaller: boolean } | undefined
      for (const [index, block] of (await readBlocks(document)).entries()) {
        if (block.language !== 'text') {
          last = await outputOf(block, cwd)
          continue
        }
        if (last === undefined) continue
        const { output: whole, smaller } = last
        last = undefined
        const seen = (text: string) => (smaller ? words(text) : text.replace(/ +$/gm, '').trimEnd())
        const [said, output] = [seen(block.code), seen(whole)]
        if (matches(said, output)) continue
        if (update && !smaller) await replace(document, index, whole)
        else expect(output, `${relative(root, document)}:${block.line}`).toBe(said)
      }
    },
    update ? 3_600_000 : 120_000,
  )
})
