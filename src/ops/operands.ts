/** Checks that shape rules share, so that every op says the same thing about the same mistake. */
import type { DType } from '../base/dtype.ts'
import { ConfigError, DTypeError, ShapeError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import type { Node } from '../graph/node.ts'

/** Attributes of an op that has none. */
export type NoAttributes = Readonly<Record<string, never>>
export const noAttributes: NoAttributes = {}

const list = (words: readonly string[]): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`

/** @throws DTypeError unless the operand has one of the dtypes */
export function checkDType(where: string, name: string, node: Node, allowed: readonly DType[]): void {
  if (allowed.includes(node.dtype)) return
  throw new DTypeError({
    where,
    what: `${name} has dtype ${node.dtype}`,
    got: `${name} ${node.dtype} ${showShape(node.shape)}`,
    expected: list(allowed),
    fix: `cast it first, for instance with .cast('${allowed[0]}')`,
  })
}

/** @throws DTypeError unless both have one dtype */
export function checkSameDType(where: string, a: Node, b: Node): void {
  if (a.dtype === b.dtype) return
  throw new DTypeError({
    where,
    what: `the operands have dtypes ${a.dtype} and ${b.dtype}`,
    got: `${a.dtype} ${showShape(a.shape)} and ${b.dtype} ${showShape(b.shape)}`,
    expected: 'one dtype: nothing is promoted silently',
    fix: `cast one of them, for instance with .cast('${a.dtype === 'f32' || b.dtype === 'f32' ? 'f32' : 'i32'}')`,
  })
}

/** @throws ShapeError when an axis has extent 0: no op takes or makes an empty tensor */
export function checkFilled(where: string, name: string, node: { readonly shape: readonly number[] }): void {
  if (!node.shape.includes(0)) return
  throw new ShapeError({
    where,
    what: `${name} is empty`,
    got: `${name} ${showShape(node.shape)}`,
    expected: 'at least one element on every axis',
    fix: 'leave empty tensors out before computing with them',
  })
}

/** @throws ShapeError unless all inputs of a map have one shape; the functions broadcast before they make a node */
export function checkEqualShapes(where: string, inputs: readonly Node[]): void {
  const [first] = inputs
  for (const input of inputs) {
    if (sameShape(first.shape, input.shape)) continue
    throw new ShapeError({
      where,
      what: 'the operands differ in shape',
      got: `${showShape(first.shape)} and ${showShape(input.shape)}`,
      expected: 'one shape',
      fix: 'broadcast them first, for instance with broadcastTo',
    })
  }
}

/** @throws ConfigError unless the number is finite */
export function checkFinite(where: string, name: string, value: number): void {
  if (typeof value === 'number' && Number.isFinite(value)) return
  throw new ConfigError({
    where,
    what: `${name} makes no sense`,
    got: String(value),
    expected: 'a finite number',
    fix: `correct ${name}`,
  })
}

/** @throws ConfigError unless the number can count something */
export function checkCount(where: string, name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return
  throw new ConfigError({
    where,
    what: `${name} makes no sense`,
    got: String(value),
    expected: 'a whole number of at least 1',
    fix: `correct ${name}`,
  })
}

/** @throws ShapeError unless the shape is made of whole numbers of at least 1 */
export function checkShape(where: string, shape: readonly number[]): void {
  if (shape.every((extent) => Number.isInteger(extent) && extent >= 1)) return
  throw new ShapeError({
    where,
    what: 'the shape makes no sense',
    got: showShape(shape),
    expected: 'whole numbers of at least 1',
    fix: 'correct the shape',
  })
}
