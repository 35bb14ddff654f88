/** Turns the elementwise nodes of a unit into a chain, and finds what it reads. */
import type { ConstantAttributes, Node } from '../graph/node.ts'
import { kindOf } from '../kernel/build.ts'
import type { Chain, ChainStep } from '../kernel/chain.ts'
import { constant } from '../kernel/expression.ts'
import { type Access, type Accesses, accessKey } from './access.ts'

/** The elementwise part of a unit, with what it reads. */
export interface Gathered {
  readonly chain: Chain
  readonly operands: readonly Access[]
  readonly constants: readonly number[]
}

/**
 * Numbers the values of elementwise nodes: `given` values first (what a kernel computed), then operands, constants,
 * steps. With `copied` the chain hands that access through.
 */
export function gather(
  accesses: Accesses,
  members: readonly Node[],
  copied: readonly Access[] = [],
  given: readonly Node[] = [],
): Gathered & { results: Map<Node, number> } {
  const operands: Access[] = []
  const operandKeys = new Map<string, number>()
  const constants: number[] = []
  const inside = new Set([...members, ...given])
  type Value =
    | { kind: 'given' | 'operand' | 'constant'; i: number }
    | { kind: 'step'; node: Node }
    | { kind: 'literal'; access: Access }
  const resolve = (access: Access, direct: Node | undefined): Value => {
    const { source } = access
    if (direct !== undefined && inside.has(source)) {
      const i = given.indexOf(source)
      return i >= 0 ? { kind: 'given', i } : { kind: 'step', node: source }
    }
    if (source.op.kind === 'leaf' && source.op.name === 'constant') {
      if (source.dtype !== 'f32') return { kind: 'literal', access }
      const { value } = source.attributes as ConstantAttributes
      // Equal values are not joined: that 1 / batch happens to be 1 must not make another kernel.
      return { kind: 'constant', i: constants.push(value) - 1 }
    }
    const key = accessKey(access)
    let i = operandKeys.get(key)
    if (i === undefined) {
      i = operands.push(access) - 1
      operandKeys.set(key, i)
    }
    return { kind: 'operand', i }
  }
  const wanted = members.map((node) => node.inputs.map((input) => resolve(accesses.of(input), input)))
  const wantedCopies = copied.map((access) => resolve(access, undefined))
  const inputs = given.length + operands.length
  const steps: ChainStep[] = []
  const results = new Map<Node, number>(given.map((node, i) => [node, i]))
  const push = (step: ChainStep) => inputs + constants.length + steps.push(step) - 1
  const number = (value: Value): number => {
    switch (value.kind) {
      case 'given':
        return value.i
      case 'operand':
        return given.length + value.i
      case 'constant':
        return inputs + value.i
      case 'step':
        return results.get(value.node) as number
      case 'literal': {
        const { value: literal, dtype } = value.access.source.attributes as ConstantAttributes
        const kind = kindOf(dtype)
        return push({
          key: `const:${kind}:${literal}`,
          args: [],
          lower: (_k, _args, context) => constant(kind, literal, context.lanes),
        })
      }
      default:
        return value satisfies never
    }
  }
  for (const [i, node] of members.entries()) {
    const { op, attributes } = node
    if (op.kind !== 'map') throw new Error(`${op.name} is no elementwise op`)
    const args = wanted[i].map(number)
    const text = op.key === undefined ? JSON.stringify(attributes) : op.key(attributes)
    const step: ChainStep = {
      key: `${op.name}:${node.dtype}${text === '{}' || text === undefined ? '' : text}`,
      args,
      lower: (k, values, context) => op.lower(k, values, attributes, context),
    }
    results.set(node, push(step))
  }
  // A copy of an operand or a constant is a chain without work; a literal needs its step to be last.
  const passed = wantedCopies.map(number)
  return { chain: { inputs, constants: constants.length, steps, results: passed }, operands, constants, results }
}
