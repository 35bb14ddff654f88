/** What a page gets instead of checkpoints.ts, by `browser` in package.json: it cannot write files by path. */
import { UnsupportedError } from '../base/errors.ts'

export class Checkpoints {
  /** @throws UnsupportedError always */
  constructor(run: string) {
    throw new UnsupportedError({
      where: 'fit',
      what: 'a page cannot write checkpoints',
      got: `'${run}'`,
      expected: 'no checkpoints',
      fix: 'leave them out and keep what model.save() gives, or run in Node',
    })
  }
}
