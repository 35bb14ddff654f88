/** Code and output in Markdown files. */
import { readFile } from 'node:fs/promises'

export interface Block {
  /** What stands behind the opening fence: `ts`, `sh`, `text`, or nothing. */
  readonly language: string
  readonly code: string
  /** Line of the opening fence, from 1. */
  readonly line: number
  /** The comment right above the block, which readers do not see: `run` for `<!-- run -->`. */
  readonly remark?: string
}

/** The fenced blocks of a Markdown text. */
export function blocksOf(text: string): Block[] {
  const lines = text.split('\n')
  const blocks: Block[] = []
  for (let i = 0; i < lines.length; i++) {
    const language = /^```(\w*)$/.exec(lines[i])?.[1]
    if (language === undefined) continue
    const end = lines.indexOf('```', i + 1)
    if (end < 0) throw new Error(`line ${i + 1}: the block is never closed`)
    const above = lines.slice(0, i).findLast((line) => line.trim() !== '')
    const remark = /^<!-- (.*) -->$/.exec(above ?? '')?.[1]
    const code = lines.slice(i + 1, end).map((line) => `${line}\n`)
    blocks.push({ language, code: code.join(''), line: i + 1, ...(remark === undefined ? {} : { remark }) })
    i = end
  }
  return blocks
}

export async function readBlocks(file: string): Promise<Block[]> {
  return blocksOf(await readFile(file, 'utf8'))
}

/** The same program with less data, so that it takes seconds. */
export function small(code: string): string {
  return code.replaceAll('datasets.digits()', 'datasets.digits({ trainCount: 300, testCount: 100 })')
}
