/** What a page gets instead of checkpoint.ts, by `browser` in package.json: it cannot open files by path. */
import { UnsupportedError } from '../base/errors.ts'

export const checkpointFolder = 'checkpoints'
export const stepFile = /^$/
export const bestFile = /^$/
export const checkpointFile = /^$/

function noCheckpoints(path: string): UnsupportedError {
  return new UnsupportedError({
    where: 'fit',
    what: 'a page cannot write checkpoints',
    got: `'${path}'`,
    expected: 'no checkpoints',
    fix: 'leave them out and keep model.save() between epochs, or run in Node',
  })
}

/** @throws UnsupportedError always */
export async function writeCheckpoint(path: string): Promise<never> {
  throw noCheckpoints(path)
}

/** @throws UnsupportedError always */
export async function readCheckpoint(path: string): Promise<never> {
  throw noCheckpoints(path)
}
