/** What the faces of convolutions share beside the window. */
import { ConfigError, ShapeError } from '../../base/errors.ts'
import { showShape } from '../../base/shape.ts'
import type { Node } from '../../graph/node.ts'
import { add } from '../elementwise.ts'

/** @throws ConfigError unless the number can be one of groups */
export function checkGroups(where: string, groups: number): number {
  if (Number.isInteger(groups) && groups >= 1) return groups
  throw new ConfigError({
    where,
    what: 'groups makes no sense',
    got: `groups ${groups}`,
    expected: 'a whole number of at least 1 that divides input and output channels',
    fix: 'leave it out for an ordinary convolution, or give the number of input channels for a depthwise one',
  })
}

/** @throws ShapeError unless the bias has one number for each output channel */
export function addBias(where: string, bias: Node | undefined, y: Node): Node {
  if (bias === undefined) return y
  const outChannels = y.shape[y.shape.length - 1]
  if (bias.shape.length === 1 && bias.shape[0] === outChannels) return add(y, bias)
  throw new ShapeError({
    where,
    what: 'bias does not fit the output channels',
    got: `bias ${showShape(bias.shape)}, output ${showShape(y.shape)}`,
    expected: `bias [${outChannels}]`,
    fix: 'give one number for each output channel',
  })
}
