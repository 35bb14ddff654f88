/** Layers of several inputs. */

import type { BinaryName } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import type { Converter, Use } from './use.ts'

/** A number beside the one result of a call: `x * 0.5` in Keras 3 and, among named arguments, in TensorFlow. */
function numberOf({ call }: Use): { readonly value: number; readonly reverse: boolean } | undefined {
  if (call === undefined) return undefined
  const isNumber = ({ value }: Field) => typeof value === 'number'
  if (!Array.isArray(call.value)) {
    const operands = call.get('args').elements()
    const at = operands.findIndex(isNumber)
    return at < 0 ? undefined : { value: operands[at].number(), reverse: at === 0 }
  }
  const [, , , named] = Array.isArray(call.value[0]) ? call.elements()[0].elements() : call.elements()
  const operand = named?.entries().find(([, one]) => isNumber(one))
  return operand && { value: operand[1].number(), reverse: operand[0] === 'x' }
}

/** Two inputs at a time, the first of three or more with the second, the outcome with the third; or one with a number. */
function each(op: BinaryName, exactly?: 2): Converter {
  return (use) => {
    const { inputs } = use
    const number = inputs.length === 1 ? numberOf(use) : undefined
    if (number !== undefined) {
      return use.main(nn.scalar(op, number.value, number.reverse ? { reverse: true } : {}))
    }
    if (inputs.length < 2 || (exactly !== undefined && inputs.length > exactly)) {
      throw use.field.get('inbound_nodes').error(exactly === undefined ? 'two results or more' : 'two results')
    }
    const [last] = inputs.slice(-1)
    const before = inputs.slice(1, -1).reduce((so, input) => use.more(op, nn.binary(op), [so, input]), inputs[0])
    return use.main(nn.binary(op), [before, last])
  }
}

/** Operations of TensorFlow between layers, as Keras 2 writes them. */
const operations: Readonly<Record<string, Converter>> = {
  add: each('add'),
  sub: each('sub', 2),
  subtract: each('sub', 2),
  mul: each('mul'),
  multiply: each('mul'),
  truediv: each('div', 2),
  divide: each('div', 2),
  pow: each('pow', 2),
  maximum: each('max', 2),
  minimum: each('min', 2),
  relu: (use) => use.main(nn.relu()),
  relu6: (use) => use.main(nn.relu6()),
  sigmoid: (use) => use.main(nn.sigmoid()),
  silu: (use) => use.main(nn.silu()),
  tanh: (use) => use.main(nn.tanh()),
  softmax: (use) => use.main(nn.softmax()),
  sqrt: (use) => use.main(nn.unary('sqrt')),
  square: (use) => use.main(nn.unary('square')),
  exp: (use) => use.main(nn.unary('exp')),
}

export const merging: Readonly<Record<string, Converter>> = {
  Add: each('add'),
  Subtract: each('sub', 2),
  Multiply: each('mul'),
  Divide: each('div', 2),
  TrueDivide: each('div', 2),
  TFOpLambda(use) {
    const field = use.config.get('function')
    const name = field.string().replace(/^.*\./, '')
    if (Object.hasOwn(operations, name)) return operations[name](use)
    throw field.error(`an operation of: ${Object.keys(operations).join(', ')}`, 'put a layer of Keras in its place')
  },
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
