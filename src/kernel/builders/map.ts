/**
 * Maps: outputs[i] = chain(operands[i]) over an iteration space of any rank, every operand and output with its own
 * strides. Broadcasting is stride 0, a transpose is a permutation of strides, a slice a larger stride.
 */
import type { StorageType } from '../../base/dtype.ts'
import { KernelBuilder, type KernelSpec, kindOf } from '../build.ts'
import { type Chain, type ChainContext, chainKey, emitChain } from '../chain.ts'
import { add, convert, div, min, mul, rem, splat, sub } from '../expression.ts'
import type { BufferParam, Expr, Pointer } from '../language.ts'
import type { Target } from '../target.ts'

/** How an operand moves along the innermost axis: neighbours, one value for all, or any other stride. */
export type InnerStride = 'unit' | 'zero' | 'strided'

export interface MapOperand {
  readonly dtype: StorageType
  readonly inner: InnerStride
  /** Some stride is negative: the buffer is given from its lowest element on, and a parameter says where to start. */
  readonly reversed?: boolean
}

export function operandKey(operand: MapOperand): string {
  return `${operand.dtype}.${operand.inner}${operand.reversed === true ? '.reversed' : ''}`
}

/** Elements from the lowest one a stream touches to the first one it reads. */
export function startOf(extents: readonly number[], strides: readonly number[]): number {
  return strides.reduce((sum, stride, axis) => sum + (stride < 0 ? -stride * (extents[axis] - 1) : 0), 0)
}

export interface MapShape {
  /** Axes of the iteration space after merging, at least 1. */
  readonly rank: number
  readonly operands: readonly MapOperand[]
  readonly outputs: readonly MapOperand[]
  readonly chain: Chain
}

/** Strides are listed for every operand, then every output: one a merged axis, in elements. */
export interface MapArguments {
  readonly extents: readonly number[]
  readonly strides: readonly (readonly number[])[]
  readonly constants: readonly number[]
}

const leastPerTask = 16384
const mostPerTask = 65536
const manyTasks = 32
const vectorsPerStep = 4
const mostUnrolledSteps = 8

export function innerStride(stride: number): InnerStride {
  return stride === 1 ? 'unit' : stride === 0 ? 'zero' : 'strided'
}

export function mapSpec(shape: MapShape): KernelSpec {
  const key = `map|${shape.rank}|${shape.operands.map(operandKey)}|${shape.outputs.map(operandKey)}|${chainKey(shape.chain)}`
  return { key, build: (target) => buildMap(shape, key, target) }
}

/** Parameters and task count of one call: chunks depend on the extents alone, never on the number of threads. */
export function mapCall(shape: MapShape, args: MapArguments): { params: number[]; tasks: number; work: number } {
  const { extents } = args
  const rank = shape.rank
  const inner = extents[rank - 1]
  const middle = rank > 1 ? extents[rank - 2] : 1
  const outer = extents.slice(0, Math.max(0, rank - 2)).reduce((a, b) => a * b, 1)
  const total = outer * middle * inner
  const params: number[] = []
  // Beginning a task costs about as much as a thousand elements.
  const elementsPerTask = Math.max(leastPerTask, Math.min(mostPerTask, Math.ceil(total / manyTasks)))
  let tasks: number
  if (rank === 1) {
    const chunk = elementsPerTask
    tasks = Math.ceil(inner / chunk)
    params.push(inner, chunk)
  } else {
    const middleChunk = Math.max(1, Math.min(middle, Math.ceil(elementsPerTask / inner)))
    const patches = Math.ceil(middle / middleChunk)
    const outerPerTask = patches > 1 ? 1 : Math.max(1, Math.min(outer, Math.floor(elementsPerTask / (middle * inner))))
    tasks = total === 0 ? 0 : Math.ceil(outer / outerPerTask) * patches
    params.push(inner, middle, outer, middleChunk, patches, outerPerTask, ...extents.slice(0, rank - 2))
  }
  for (const [i, operand] of [...shape.operands, ...shape.outputs].entries()) {
    const strides = args.strides[i]
    params.push(...strides.slice(0, rank - 1))
    if (operand.inner === 'strided') params.push(strides[rank - 1])
    if (operand.reversed === true) params.push(startOf(extents, strides))
  }
  params.push(...args.constants)
  return { params, tasks: total === 0 ? 0 : tasks, work: total * (1 + shape.chain.steps.length / 4) }
}

interface Stream {
  readonly buffer: BufferParam
  readonly operand: MapOperand
  readonly outerStrides: readonly Expr[]
  readonly innerStride: Expr | undefined
  readonly start: Expr | number
}

function buildMap(shape: MapShape, key: string, target: Target) {
  const k = new KernelBuilder(target)
  const { rank, chain } = shape
  const operands = shape.operands.map((o, i) => k.buffer(`x${i}`, o.dtype, 'input'))
  const outputs = shape.outputs.map((o, i) => k.buffer(`y${i}`, o.dtype, 'output'))
  const inner = k.int('inner')
  const oneDimensional = rank === 1
  const middle = oneDimensional ? undefined : k.int('middle')
  const outer = oneDimensional ? undefined : k.int('outer')
  const chunk = k.int(oneDimensional ? 'chunk' : 'middleChunk')
  const patches = oneDimensional ? undefined : k.int('patches')
  const outerPerTask = oneDimensional ? undefined : k.int('outerPerTask')
  const outerExtents = Array.from({ length: Math.max(0, rank - 2) }, (_, axis) => k.int(`extent${axis}`))
  const stream = (buffer: BufferParam, operand: MapOperand): Stream => ({
    buffer,
    operand,
    outerStrides: Array.from({ length: rank - 1 }, (_, axis) => k.int(`${buffer.name}_stride${axis}`)),
    innerStride: operand.inner === 'strided' ? k.int(`${buffer.name}_inner`) : undefined,
    start: operand.reversed === true ? k.int(`${buffer.name}_start`) : 0,
  })
  const inputs = shape.operands.map((o, i) => stream(operands[i], o))
  const results = shape.outputs.map((o, i) => stream(outputs[i], o))
  const constants = Array.from({ length: chain.constants }, (_, i) => k.float(`c${i}`))
  const streams = [...inputs, ...results]

  /** One step of the inner loop: `vectors` times `lanes` elements at the pointers. */
  const step = (
    pointers: readonly Pointer[],
    held: readonly (Expr | undefined)[],
    lanes: number,
    vectors: number,
  ): void => {
    for (let v = 0; v < vectors; v++) {
      const offset = v * lanes
      const context: ChainContext = {
        lanes,
        index: () => k.let(add(splat(add(k.position(pointers[inputs.length]), offset), lanes), k.laneIndex(lanes))),
      }
      const values = inputs.map((input, i) => {
        const value = held[i]
        if (value !== undefined) return splat(value, lanes)
        if (lanes === 1) return k.let(k.load(pointers[i], offset))
        return k.let(k.loadVector(pointers[i], offset, lanes, input.innerStride))
      })
      const computed = emitChain(k, chain, values, constants, context)
      for (const [i, result] of results.entries()) {
        const value = convert(computed[i], kindOf(result.operand.dtype))
        k.store(pointers[inputs.length + i], value, offset, lanes, lanes === 1 ? undefined : result.innerStride)
      }
    }
    const moved = lanes * vectors
    for (const [i, s] of streams.entries()) {
      if (s.operand.inner === 'zero') continue
      k.advance(pointers[i], s.innerStride === undefined ? moved : mul(s.innerStride, moved))
    }
  }
  // Short chains are unrolled: a loop over rows of few channels is mostly counting otherwise.
  const neighbours = streams.every((s) => s.operand.inner !== 'strided')
  const unrolled = neighbours && chain.steps.length <= mostUnrolledSteps ? vectorsPerStep : 1

  /** A row of `count` elements from the pointers on, which it moves. */
  const row = (pointers: readonly Pointer[], count: Expr): void => {
    const held = inputs.map((input, i) => (input.operand.inner === 'zero' ? k.let(k.load(pointers[i])) : undefined))
    if (k.lanes === 1) {
      k.repeat(count, () => step(pointers, held, 1, 1))
      return
    }
    const block = unrolled * k.lanes
    if (unrolled > 1) k.repeat(div(count, block), () => step(pointers, held, k.lanes, unrolled))
    const rest = unrolled > 1 ? k.let(rem(count, block)) : count
    k.repeat(div(rest, k.lanes), () => step(pointers, held, k.lanes, 1))
    k.repeat(rem(rest, k.lanes), () => step(pointers, held, 1, 1))
  }

  const declarations = streams.map((s) => ({ pointer: s.buffer }))
  if (oneDimensional) {
    const run = k.function('row', [...declarations, { int: 'count' }], (...params) => {
      row(params.slice(0, -1) as Pointer[], params.at(-1) as Expr)
    })
    k.task((task) => {
      const start = k.let(mul(task, chunk))
      const pointers = streams.map((s) => {
        if (s.operand.inner === 'zero') return k.point(s.buffer)
        return k.point(s.buffer, add(s.innerStride === undefined ? start : mul(start, s.innerStride), s.start))
      })
      k.call(run, ...pointers, min(sub(inner, start), chunk))
    })
  } else {
    const patch = k.function('patch', [...declarations, { int: 'rows' }], (...params) => {
      const starts = params.slice(0, -1) as Pointer[]
      const pointers = starts.map((start) => k.pointFrom(start))
      k.repeat(params.at(-1) as Expr, () => {
        for (const [i, pointer] of pointers.entries()) k.follow(pointer, starts[i])
        row(pointers, inner)
        for (const [i, s] of streams.entries()) k.advance(starts[i], s.outerStrides[rank - 2])
      })
    })
    k.task((task) => {
      const firstRow = k.let(mul(rem(task, patches!), chunk))
      const rows = k.let(min(sub(middle!, firstRow), chunk))
      const firstOuter = k.let(mul(div(task, patches!), outerPerTask!))
      k.loop(min(sub(outer!, firstOuter), outerPerTask!), (i) => {
        // Decompose the outer index into coordinates, innermost first.
        const coordinates: Expr[] = []
        let rest = k.let(add(firstOuter, i))
        for (let axis = rank - 3; axis >= 0; axis--) {
          coordinates[axis] = axis === 0 ? rest : k.let(rem(rest, outerExtents[axis]))
          if (axis > 0) rest = k.let(div(rest, outerExtents[axis]))
        }
        const pointers = streams.map((s) => {
          let index = add(mul(firstRow, s.outerStrides[rank - 2]), s.start)
          for (const [axis, coordinate] of coordinates.entries())
            index = add(index, mul(coordinate, s.outerStrides[axis]))
          return k.point(s.buffer, index)
        })
        k.call(patch, ...pointers, rows)
      })
    })
  }
  const steps = chain.steps.map((s) => s.key.replace(/\W.*/, '')).slice(0, 4)
  return k.build(`map${rank}d_${steps.join('_') || 'copy'}_${target.name}`, key)
}
