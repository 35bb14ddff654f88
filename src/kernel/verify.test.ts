import { describe, expect, test } from 'vitest'
import { KernelBuilder } from './build.ts'
import { constant, gt, int, mul } from './expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Local, Pointer, Statement, ValueType } from './language.ts'
import type { Target } from './target.ts'
import { verifyKernel } from './verify.ts'

const target: Target = {
  name: 'test',
  lanes: 4,
  registers: 15,
  fma: false,
  math: 'polynomial',
  bytes: { f32: 4, i32: 4, u8: 1, bool: 1, bf16: 2 },
  cacheBytes: 2 ** 20,
}

const x: BufferParam = { name: 'x', dtype: 'f32', role: 'input', index: 0 }
const y: BufferParam = { name: 'y', dtype: 'f32', role: 'output', index: 1 }
const m: BufferParam = { name: 'm', dtype: 'bool', role: 'output', index: 2 }
const n = { name: 'n', kind: 'i32', index: 0 } as const
const p: Pointer = { name: 'p', buffer: x }
const q: Pointer = { name: 'q', buffer: y }
const r: Pointer = { name: 'r', buffer: m }
const f: ValueType = { kind: 'f32', lanes: 1 }
const v: ValueType = { kind: 'f32', lanes: 4 }
const i: ValueType = { kind: 'i32', lanes: 1 }
const iv: ValueType = { kind: 'i32', lanes: 4 }
const bv: ValueType = { kind: 'bool', lanes: 4 }
const one = constant('f32', 1)
const ones = constant('f32', 1, 4)
const local = (name: string, type: ValueType): Local => ({ name, type })
const read = (l: Local): Expr => ({ op: 'local', type: l.type, local: l })
const set = (value: Expr, type = value.type): Statement => ({ op: 'set', local: local('t', type), value })
const load = (pointer: Pointer, type: ValueType, offset = 0, count = type.lanes): Expr => ({
  op: 'load',
  type,
  pointer,
  offset,
  count,
})
const store = (pointer: Pointer, value: Expr, offset = 0, count = value.type.lanes): Statement => {
  return { op: 'store', pointer, offset, value, count }
}
const pointP: Statement = { op: 'point', pointer: p, index: int(0) }
const pointQ: Statement = { op: 'point', pointer: q, index: int(0) }
const pointR: Statement = { op: 'point', pointer: r, index: int(0) }
/** An `if` statement. */
const when = (condition: Expr, body: Statement[] = [], otherwise: Statement[] = []): Statement => {
  return { op: 'if', condition, consequent: body, otherwise }
}
const loop = (body: Statement[], index?: Local): Statement => ({
  op: 'loop',
  count: int(3),
  index,
  atLeastOnce: false,
  body,
})

function kernelOf(body: readonly Statement[], before: readonly KernelFunction[] = []): Kernel {
  const task: KernelFunction = { name: 'task', params: [local('task', i)], body }
  return { name: 'k', key: 'k', buffers: [x, y, m], params: [n], functions: [...before, task] }
}

/** The complaint about a task with this body, '' when there is none. */
function complaint(body: readonly Statement[], before: readonly KernelFunction[] = [], on = target): string {
  try {
    verifyKernel(kernelOf(body, before), on)
  } catch (error) {
    return (error as Error).message
  }
  return ''
}

const t = local('t', f)
const helper: KernelFunction = { name: 'helper', params: [q, local('a', i)], body: [store(q, one)] }
const other: Pointer = { name: 'q2', buffer: y }
const pointOther: Statement = { op: 'point', pointer: other, index: int(0) }
const recursive: { name: string; params: []; body: Statement[] } = { name: 'recursive', params: [], body: [] }
recursive.body.push({ op: 'call', callee: recursive, args: [] })
const strange: BufferParam = { name: 'z', dtype: 'f32', role: 'output', index: 3 }
const binary = (name: 'add' | 'div' | 'rem' | 'shl' | 'and', a: Expr, b: Expr): Expr => ({
  op: 'binary',
  type: a.type,
  name,
  a,
  b,
})

describe('verifyKernel', () => {
  test('accepts what the builder builds', () => {
    const k = new KernelBuilder(target)
    const input = k.buffer('x', 'f32', 'input')
    const output = k.buffer('y', 'f32', 'output')
    const strip = k.buffer('s', 'f32', 'scratch')
    const width = k.int('width')
    const row = k.function('row', [{ pointer: input }, { pointer: output }, { int: 'count' }], (a, b, count) => {
      const sum = k.variable(constant('f32', 0, 4))
      k.loop(count, (index) => {
        k.if(gt(index, 2), () => k.set(sum, k.loadVector(a)))
        k.advance(a, 4)
      })
      k.store(b, sum.value)
    })
    k.task((task) => {
      const a = k.point(input, mul(task, width))
      k.store(k.point(strip), k.load(a))
      k.call(row, a, k.pointFrom(k.point(output), 4), 3)
    })
    expect(() => verifyKernel(k.build('good', 'good'), target)).not.toThrow()
  })

  test('the message names kernel, function, rule and statement', () => {
    expect(complaint([pointP, pointQ, loop([store(q, int(1))])])).toBe(
      'kernel k, function task: i32 value for an element of y, which is f32\n  at q[0] = 1',
    )
  })

  test.each<[string, string, Statement[], KernelFunction[]?]>([
    ['mixed kinds', 'add of f32, i32 gives f32', [set(binary('add', one, int(1)))]],
    ['mixed lanes', 'add of f32x4, f32 gives f32x4', [set(binary('add', ones, one))]],
    ['set of another type', 't is f32x4, its value f32', [set(one, v)]],
    ['wrong lanes', '8 lanes on a target with 4', [set(constant('f32', 1, 8))]],
    ['unset local', 't is used before it is set', [set(read(t))]],
    [
      'local of an inner block',
      't is used before it is set',
      [loop([{ op: 'set', local: t, value: one }]), set(read(t))],
    ],
    [
      'local of another branch',
      't is used before it is set',
      [when(gt(1, 0), [{ op: 'set', local: t, value: one }], [set(read(t))])],
    ],
    [
      'local read as another type',
      't is f32, read as i32',
      [{ op: 'set', local: t, value: one }, set({ op: 'local', type: i, local: t })],
    ],
    [
      'index that is set',
      'i is the index of a loop',
      [loop([{ op: 'set', local: local('i', i), value: int(1) }])].map(shareIndex),
    ],
    ['unpointed pointer', 'p is used before it is set', [set(load(p, f))]],
    ['advance before point', 'p is used before it is set', [{ op: 'advance', pointer: p, by: int(1) }]],
    [
      'follow into another buffer',
      'q points into y, p into x',
      [pointP, { op: 'follow', pointer: q, from: p, by: int(1) }],
    ],
    ['f32 distance', 'distance is f32, not i32', [pointP, { op: 'advance', pointer: p, by: one }]],
    ['pointer of another function', 'q belongs to function helper', [store(q, one)], [helper]],
    ['store into an input', 'stores into x, which is an input', [pointP, store(p, one)]],
    [
      'unknown buffer',
      "buffer z is not one of the kernel's",
      [{ op: 'point', pointer: { name: 'z', buffer: strange }, index: int(0) }],
    ],
    [
      'unknown parameter',
      "parameter w is not one of the kernel's",
      [set({ op: 'param', type: i, param: { ...n, name: 'w' } })],
    ],
    ['parameter of another type', 'parameter n is i32, read as f32', [set({ op: 'param', type: f, param: n })]],
    ['arity', 'helper takes 2 arguments, not 1', [pointOther, { op: 'call', callee: helper, args: [other] }], [helper]],
    [
      'argument type',
      'argument 1 of helper is f32, not i32',
      [pointOther, { op: 'call', callee: helper, args: [other, one] }],
      [helper],
    ],
    [
      'argument buffer',
      'q points into y, p into x',
      [pointP, { op: 'call', callee: helper, args: [p, int(1)] }],
      [helper],
    ],
    [
      'argument not a pointer',
      'argument 0 of helper must be a pointer into y',
      [{ op: 'call', callee: helper, args: [int(1), int(1)] }],
      [helper],
    ],
    [
      'argument a pointer',
      'argument 1 of helper must be i32, not a pointer',
      [pointOther, { op: 'call', callee: helper, args: [other, other] }],
      [helper],
    ],
    ['undefined function', 'helper is not defined before its caller', [{ op: 'call', callee: helper, args: [] }]],
    ['recursion', 'recursive calls itself', [], [recursive]],
    ['function defined twice', 'is defined twice', [], [helper, helper]],
    ['vector parameter', 'parameter a is a vector', [], [{ name: 'g', params: [local('a', v)], body: [] }]],
    ['offset', 'offset 0.5 is not an integer', [pointP, set(load(p, f, 0.5))]],
    ['count too large', 'count 5 is not between 1 and 4 lanes', [pointP, set(load(p, v, 0, 5))]],
    ['count zero', 'count 0 is not between 1 and 4 lanes', [pointQ, store(q, ones, 0, 0)]],
    [
      'stride',
      'stride is f32, not i32',
      [pointP, set({ op: 'load', type: v, pointer: p, offset: 0, count: 4, stride: one })],
    ],
    ['load of another kind', 'i32 value for an element of x, which is f32', [pointP, set(load(p, i))]],
    ['store of another kind', 'f32 value for an element of m, which is bool', [pointR, store(r, one)]],
    ['intrinsic', 'target test has no exp', [set({ op: 'intrinsic', type: f, name: 'exp', a: one })]],
    ['rem of f32', 'rem takes i32, not f32', [set(binary('rem', one, one))]],
    ['shift of f32', 'shl takes i32, not f32', [set(binary('shl', one, one))]],
    ['and of f32', 'and takes i32 or bool, not f32', [set(binary('and', one, one))]],
    ['floor of i32', 'floor takes f32, not i32', [set({ op: 'unary', type: i, name: 'floor', a: int(1) })]],
    ['not of i32', 'not takes bool, not i32', [set({ op: 'unary', type: i, name: 'not', a: int(1) })]],
    ['fma of i32', 'fma takes f32, not i32', [set({ op: 'fma', type: i, a: int(1), b: int(1), c: int(1) })]],
    [
      'vector division of i32',
      'div of i32 is for scalars, not i32x4',
      [set(binary('div', constant('i32', 1, 4), constant('i32', 1, 4)))],
    ],
    [
      'compare of bool',
      'eq takes f32 or i32, not bool',
      [set({ op: 'compare', type: bv, name: 'eq', a: constant('bool', 1, 4), b: constant('bool', 1, 4) })],
    ],
    [
      'compare of two kinds',
      'eq of f32 and i32',
      [set({ op: 'compare', type: { kind: 'bool', lanes: 1 }, name: 'eq', a: one, b: int(1) })],
    ],
    ['compare to a number', 'eq of f32 gives i32', [set({ op: 'compare', type: i, name: 'eq', a: one, b: one })]],
    [
      'select by a scalar',
      'select of f32x4 by bool',
      [set({ op: 'select', type: v, condition: gt(1, 0), a: ones, b: ones })],
    ],
    ['condition', 'condition is i32, not bool', [when(int(1))]],
    ['vector condition', 'condition is boolx4, not bool', [when(gt(ones, 0))]],
    ['convert between lanes', 'convert from i32 to f32x4', [set({ op: 'convert', type: v, a: int(1) })]],
    ['bitcast of bool', 'bitcast takes f32 or i32, not bool', [set({ op: 'bitcast', type: i, a: gt(1, 0) })]],
    ['bitcast between lanes', 'bitcast from f32 to i32x4', [set({ op: 'bitcast', type: iv, a: one })]],
    ['splat of a vector', 'splat of f32x4 gives f32x4', [set({ op: 'splat', type: v, a: ones })]],
    ['splat of another kind', 'splat of i32 gives f32x4', [set({ op: 'splat', type: v, a: int(1) })]],
    ['scalar lane index', 'laneIndex gives a vector of i32, not i32', [set({ op: 'laneIndex', type: i })]],
    [
      'reduction of a scalar',
      'reduceLanes of f32 gives f32',
      [set({ op: 'reduceLanes', type: f, name: 'add', a: one })],
    ],
    [
      'reduction of bool',
      'reduceLanes takes f32 or i32, not bool',
      [set({ op: 'reduceLanes', type: { kind: 'bool', lanes: 1 }, name: 'add', a: gt(ones, 0) })],
    ],
    ['position as f32', 'position gives i32, not f32', [pointP, set({ op: 'position', type: f, pointer: p })]],
    ['i32 constant', 'constant 0.5 is not i32', [set(int(0.5))]],
    ['i32 constant too large', 'constant 4294967295 is not i32', [set(int(0xffffffff))]],
    [
      'loop count',
      'count is f32, not i32',
      [{ op: 'loop', count: one, index: undefined, atLeastOnce: false, body: [] }],
    ],
    ['loop index', 'loop index i is f32, not i32', [loop([], local('i', f))]],
  ])('refuses: %s', (_, expected, body, before = []) => {
    expect(complaint(body, before)).toContain(expected)
  })

  test('intrinsics are fine where the target prints them', () => {
    const body: Statement[] = [set({ op: 'intrinsic', type: f, name: 'exp', a: one })]
    expect(complaint(body, [], { ...target, math: 'intrinsic' })).toBe('')
  })

  test('the last function is the task', () => {
    const kernel = kernelOf([])
    expect(() => verifyKernel({ ...kernel, functions: [helper] }, target)).toThrow(
      'the last function, helper, must take the task number',
    )
    expect(() => verifyKernel({ ...kernel, functions: [] }, target)).toThrow('kernel k: has no functions')
    expect(() => verifyKernel({ ...kernel, buffers: [y, x] }, target)).toThrow('buffer y has index 1 at position 0')
    expect(() => verifyKernel({ ...kernel, params: [{ ...n, index: 1 }] }, target)).toThrow(
      'parameter n has index 1 at position 0',
    )
  })
})

/** Makes the local that the body sets the index of the loop. */
function shareIndex(statement: Statement): Statement {
  if (statement.op !== 'loop' || statement.body[0].op !== 'set') return statement
  return { ...statement, index: statement.body[0].local }
}
