/** Rows by number: take and its gradient scatterAdd, numbers themselves (iota), one-hot, takeAlong. */
import { ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { KernelOp, MapOp } from '../graph/op.ts'
import { gatherCall, gatherSpec, scatterAddCall, scatterAddSpec } from '../kernel/builders/gather.ts'
import { broadcastTo, expandDims, spread, sum } from './broadcast.ts'
import { cast, equal, like, select } from './elementwise.ts'
import { checkCount, checkDType, checkFilled, type NoAttributes, noAttributes } from './operands.ts'

type IndexType = 'i32' | 'u8'

// y[i, …] = table[indices[i], …];  dtable = scatterAdd(indices, g)
export const takeOp: KernelOp<NoAttributes> = {
  name: 'take',
  kind: 'kernel',
  infer([table, indices]) {
    checkDType('take', 'indices', indices, ['i32', 'u8'])
    checkFilled('take', 'table', table)
    checkFilled('take', 'indices', indices)
    if (table.shape.length === 0) {
      throw new ShapeError({
        where: 'take',
        what: 'the table is a scalar',
        got: `table ${showShape(table.shape)}`,
        expected: 'rows along the first axis',
        fix: 'reshape the table',
      })
    }
    return { shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype }
  },
  algorithms: [
    {
      name: 'rows',
      applies: () => true,
      cost: (node) => sizeOf(node.shape),
      tolerance: 0,
      build(node, [table, indices], epilogue, context) {
        const [source, numbers] = node.inputs
        const spec = gatherSpec({ dtype: source.dtype, indices: numbers.dtype as IndexType })
        const call = gatherCall(source.shape[0], sizeOf(source.shape.slice(1)), sizeOf(numbers.shape))
        context.call({ spec, spans: [table.span, indices.span, epilogue.outputs[0]], ...call })
      },
    },
  ],
  gradient(node, g) {
    const [table, indices] = node.inputs
    if (table.dtype !== 'f32') return [undefined, undefined]
    return [makeNode(scatterAddOp, [indices, g], { rows: table.shape[0] }), undefined]
  },
}

/**
 * Rows of a table: table [rows, ...rest], indices i32 or u8 of any shape; result [...indices.shape, ...rest]. An index
 * outside the table takes the row at its nearest end.
 * @throws ShapeError, DTypeError
 */
export function take(table: Node, indices: Node): Node {
  return makeNode(takeOp, [table, indices], noAttributes)
}

interface ScatterAttributes {
  readonly rows: number
}

// y[indices[i], …] += u[i, …] from zeros;  du = take(g, indices)
export const scatterAddOp: KernelOp<ScatterAttributes> = {
  name: 'scatterAdd',
  kind: 'kernel',
  infer([indices, updates], { rows }) {
    checkDType('scatterAdd', 'indices', indices, ['i32', 'u8'])
    checkDType('scatterAdd', 'updates', updates, ['f32'])
    checkFilled('scatterAdd', 'updates', updates)
    checkCount('scatterAdd', 'rows', rows)
    const { length } = indices.shape
    if (indices.shape.some((extent, axis) => extent !== updates.shape[axis])) {
      throw new ShapeError({
        where: 'scatterAdd',
        what: 'there is not one update for each index',
        got: `indices ${showShape(indices.shape)}, updates ${showShape(updates.shape)}`,
        expected: 'updates whose first axes are those of the indices',
        fix: 'reshape one of them',
      })
    }
    return { shape: [rows, ...updates.shape.slice(length)], dtype: 'f32' }
  },
  algorithms: [
    {
      name: 'owned rows',
      applies: () => true,
      cost: (node) => sizeOf(node.inputs[1].shape),
      tolerance: 1e-6,
      build(node, [indices, updates], epilogue, context) {
        const [numbers] = node.inputs
        const count = sizeOf(numbers.shape)
        const call = scatterAddCall(node.attributes.rows, sizeOf(node.shape.slice(1)), count)
        const spec = scatterAddSpec(numbers.dtype as IndexType)
        context.call({ spec, spans: [indices.span, updates.span, epilogue.outputs[0]], ...call })
      },
    },
  ],
  gradient: (node, g) => [undefined, take(g, node.inputs[0])],
}

/**
 * Adds rows into a table of zeros: indices i32 or u8, updates [...indices.shape, ...rest]; result [rows, ...rest]. Rows
 * are added in the order of the indices. An index outside adds to the row at the nearest end.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function scatterAdd(indices: Node, updates: Node, rows: number): Node {
  return makeNode(scatterAddOp, [indices, updates], { rows })
}

interface IotaAttributes {
  readonly shape: Shape
}

// y[i] = i
export const iotaOp: MapOp<IotaAttributes> = {
  name: 'iota',
  kind: 'map',
  usesIndex: true,
  gradient: 'none',
  infer(_inputs, { shape }) {
    return { shape, dtype: 'i32' }
  },
  lower: (_k, _args, _attributes, context) => context.index(),
  key: () => '',
}

/** 0, 1, 2, … as i32 [count]. @throws ConfigError unless `count` is a whole number of at least 1 */
export function iota(count: number): Node {
  checkCount('iota', 'count', count)
  return makeNode(iotaOp, [], { shape: [count] })
}

/** Whether each class is the one meant: numbers […] of i32 or u8 to bool […, classes]. */
function isClass(where: string, numbers: Node, classes: number): Node {
  checkDType(where, 'indices', numbers, ['i32', 'u8'])
  checkCount(where, 'classes', classes)
  const shape = [...numbers.shape, classes]
  const last = numbers.shape.length
  return equal(spread(expandDims(cast(numbers, 'i32'), last), shape, [last]), broadcastTo(iota(classes), shape))
}

/**
 * 1 in the place of each label, 0 elsewhere: labels i32 or u8 […] to f32 […, classes]. A label outside gives zeros.
 * @throws DTypeError, ConfigError
 */
export function oneHot(labels: Node, classes: number): Node {
  return cast(isClass('oneHot', labels, classes), 'f32')
}

/**
 * One element of each row of the last axis: x […, n], indices i32 or u8 […]; result […]. An index outside gives 0.
 * @throws ShapeError, DTypeError
 */
export function takeAlong(x: Node, indices: Node): Node {
  const rank = x.shape.length
  const fits = rank > 0 && indices.shape.length === rank - 1
  if (!fits || indices.shape.some((extent, axis) => extent !== x.shape[axis])) {
    throw new ShapeError({
      where: 'takeAlong',
      what: 'there is not one index for each row',
      got: `x ${showShape(x.shape)}, indices ${showShape(indices.shape)}`,
      expected: `indices ${showShape(x.shape.slice(0, -1))}`,
      fix: 'give one index for each row of the last axis',
    })
  }
  const chosen = isClass('takeAlong', indices, x.shape[rank - 1])
  return sum(select(chosen, x, like(x, 0)), rank - 1)
}
