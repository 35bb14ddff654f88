/** Layers of several inputs. */

import type { BinaryName } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import type { Converter } from './use.ts'

/** Two inputs at a time, the first of three or more with the second, the outcome with the third. */
function each(op: BinaryName, exactly?: 2): Converter {
  return (use) => {
    const { inputs } = use
    if (inputs.length < 2 || (exactly !== undefined && inputs.length > exactly)) {
      throw use.field.get('inbound_nodes').error(exactly === undefined ? 'two results or more' : 'two results')
    }
    const [last] = inputs.slice(-1)
    const before = inputs.slice(1, -1).reduce((so, input) => use.more(op, nn.binary(op), [so, input]), inputs[0])
    return use.main(nn.binary(op), [before, last])
  }
}

export const merging: Readonly<Record<string, Converter>> = {
  Add: each('add'),
  Subtract: each('sub', 2),
  Multiply: each('mul'),
  Maximum: each('max'),
  Minimum: each('min'),
  Average(use) {
    const [first, ...others] = use.inputs
    const sum = others.reduce((so, input) => use.more('add', nn.add(), [so, input]), first)
    return use.main(nn.scalar('mul', 1 / use.inputs.length), [sum])
  },
  Concatenate(use) {
    const field = use.config.get('axis')
    const axis = field.isThere ? field.number() : -1
    if (axis === 0) throw field.error('an axis of a sample')
    const rank = use.shape(0).length
    const at = axis > 0 ? axis - 1 : axis
    return use.main(nn.concat(at === rank - 1 ? -1 : at), use.inputs)
  },
}
