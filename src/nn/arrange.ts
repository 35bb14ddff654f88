/** Layers that put the values of samples elsewhere. Axes are those of a sample: the batch is not counted. */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { withRank } from './arithmetic.ts'
import { type Json, joiningLayer, type Layer, type Scope, standIn, tried, where } from './layer.ts'

/** An axis of a sample, counted from the front. @throws ShapeError when samples have no such axis */
export function sampleAxis(scope: Scope, type: string, axis: number, input: Shape): number {
  const counted = axis < 0 ? axis + input.length : axis
  if (Number.isInteger(counted) && counted >= 0 && counted < input.length) return counted
  throw new ShapeError({
    where: where(scope, type),
    what: `samples have no axis ${axis}`,
    got: `samples of shape ${showShape(input)}`,
    expected: `an axis from ${-input.length} to ${input.length - 1}; the batch is not counted`,
    fix: 'correct the axis',
  })
}

function refuse(scope: Scope, type: string, what: string, got: string, expected: string): never {
  throw new ShapeError({ where: where(scope, type), what, got, expected, fix: 'correct the options of the layer' })
}

/** Samples of another shape with as many values; one extent may be -1 and is then found. */
export function reshape(shape: Shape): Layer {
  if (shape.some((extent) => !Number.isInteger(extent) || extent < -1) || shape.filter((e) => e === -1).length > 1) {
    throw new ConfigError({
      where: 'nn.reshape',
      what: 'the shape makes no sense',
      got: showShape(shape),
      expected: 'whole numbers, at most one of them -1',
      fix: 'correct the shape; the batch is not part of it',
    })
  }
  return {
    type: 'reshape',
    options: { shape },
    build(scope, input) {
      const rest = sizeOf(shape.filter((extent) => extent !== -1))
      const output = shape.map((extent) => (extent === -1 ? sizeOf(input) / rest : extent))
      if (sizeOf(output) !== sizeOf(input) || !output.every(Number.isInteger)) {
        const got = `samples of shape ${showShape(input)}, ${sizeOf(input)} values`
        refuse(scope, 'reshape', 'samples do not hold as many values', got, `as many as in ${showShape(shape)}`)
      }
      return { output, apply: (x) => x.reshape([x.shape[0], ...output]) }
    },
    cost: () => ({ multiplyAdds: 0, inPlace: true }),
  }
}

/** Axes of samples in another order: axis i of the result is axis `axes[i]` of the input. */
export function permute(axes: readonly number[]): Layer {
  return {
    type: 'permute',
    options: { axes },
    build(scope, input) {
      const order = axes.map((axis) => sampleAxis(scope, 'permute', axis, input))
      if (order.length !== input.length || new Set(order).size !== input.length) {
        const got = `axes ${showShape(axes)}, samples of shape ${showShape(input)}`
        refuse(scope, 'permute', 'the axes are no order of those of samples', got, 'every axis once')
      }
      const output = order.map((axis) => input[axis])
      return { output, apply: (x) => x.transpose(0, ...order.map((axis) => axis + 1)) }
    },
  }
}

/** Part of an axis: from start up to end (not included) by step; `null` is the axis's own end. */
export type SliceRange = readonly [start?: number | null, end?: number | null, step?: number]

/** Part of samples: one range an axis, `null` for all of it; negative places count from the end. */
export function slice(ranges: readonly (SliceRange | null)[]): Layer {
  return {
    type: 'slice',
    options: { ranges: ranges as readonly Json[] },
    build(scope, input) {
      if (ranges.length > input.length) {
        const got = `${ranges.length} ranges, samples of shape ${showShape(input)}`
        refuse(scope, 'slice', 'there are more ranges than axes', got, 'at most one range an axis')
      }
      const wanted = ranges.map(
        (range) => range?.map((place) => place ?? undefined) as [number?, number?, number?] | undefined,
      )
      const apply = (x: t.Tensor) => t.slice(x, [undefined, ...wanted])
      return { output: tried(scope, 'slice', () => apply(standIn([1, ...input]))), apply }
    },
  }
}

/** Inputs one behind the other along an axis; default the last, the channels. */
export function concat(axis = -1): Layer {
  return joiningLayer({
    type: 'concat',
    options: axis === -1 ? {} : { axis },
    arity: 'many',
    join(scope, inputs) {
      const at = sampleAxis(scope, 'concat', axis, inputs[0])
      const fits = inputs.every(
        (shape) => shape.length === inputs[0].length && shape.every((e, i) => i === at || e === inputs[0][i]),
      )
      if (!fits) {
        throw new ShapeError({
          where: where(scope, 'concat'),
          what: `the inputs differ in more than axis ${at}`,
          got: inputs.map(showShape).join(', '),
          expected: `shapes that are equal but for axis ${at}`,
          fix: 'correct the wires of the graph, or pad the inputs',
        })
      }
      const output = inputs[0].map((e, i) => (i === at ? inputs.reduce((sum, shape) => sum + shape[at], 0) : e))
      return { output, apply: (xs) => t.concat(xs, at + 1) }
    },
  })
}

/** Samples repeated along axes of 1, and given axes in front, until they have this shape. */
export function expand(shape: Shape): Layer {
  return {
    type: 'expand',
    options: { shape },
    build(scope, input) {
      const missing = shape.length - input.length
      if (missing < 0 || input.some((extent, axis) => extent !== 1 && extent !== shape[missing + axis])) {
        const got = `samples of shape ${showShape(input)}`
        refuse(scope, 'expand', 'samples cannot be expanded', got, `axes of 1, or those of ${showShape(shape)}`)
      }
      return { output: shape, apply: (x) => withRank(x, shape.length).broadcastTo([x.shape[0], ...shape]) }
    },
  }
}

/** Samples as often as `repeats` says along each of their axes. */
export function tile(repeats: readonly number[]): Layer {
  return {
    type: 'tile',
    options: { repeats },
    build(scope, input) {
      if (repeats.length !== input.length || repeats.some((count) => !Number.isInteger(count) || count < 1)) {
        const got = `repeats ${showShape(repeats)}, samples of shape ${showShape(input)}`
        refuse(scope, 'tile', 'the repeats do not fit samples', got, 'a whole number of at least 1 for each axis')
      }
      const output = input.map((extent, axis) => extent * repeats[axis])
      const between = input.flatMap((extent) => [1, extent])
      const spread = input.flatMap((extent, axis) => [repeats[axis], extent])
      return {
        output,
        apply: (x) =>
          x
            .reshape([x.shape[0], ...between])
            .broadcastTo([x.shape[0], ...spread])
            .reshape([x.shape[0], ...output]),
      }
    },
  }
}

/**
 * Places of an axis in any order, by numbers that do not change: one number takes the axis away, several replace it.
 * Negative numbers count from the end.
 */
export function take(axis: number, indices: number | readonly number[]): Layer {
  return {
    type: 'take',
    options: { axis, indices },
    build(scope, input) {
      const at = sampleAxis(scope, 'take', axis, input)
      const list = (typeof indices === 'number' ? [indices] : indices).map((i) => (i < 0 ? i + input[at] : i))
      const wrong = list.find((i) => !Number.isInteger(i) || i < 0 || i >= input[at])
      if (wrong !== undefined || list.length === 0) {
        const got = wrong === undefined ? 'none' : String(wrong)
        refuse(scope, 'take', 'a place lies outside the axis', got, `places from 0 to ${input[at] - 1}`)
      }
      const output = [
        ...input.slice(0, at),
        ...(typeof indices === 'number' ? [] : [list.length]),
        ...input.slice(at + 1),
      ]
      const run = list.every((i, place) => i === list[0] + place)
      const apply = (x: t.Tensor): t.Tensor => {
        const axes = x.shape.map((_, i) => i)
        const front = [at + 1, ...axes.filter((i) => i !== at + 1)]
        const taken = run
          ? t.slice(x, [...new Array<undefined>(at + 1).fill(undefined), [list[0], list[0] + list.length]])
          : t
              .take(x.transpose(...front), t.tensor(Int32Array.from(list)))
              .transpose(...axes.map((i) => front.indexOf(i)))
        return taken.reshape([x.shape[0], ...output])
      }
      return { output, apply }
    },
  }
}

/**
 * Places of an axis of the first input, by numbers that come as the second (i32, any shape): they stand where the axis
 * stood. Every sample has numbers of its own. Negative numbers count from the end; numbers outside the axis mean its
 * nearest end, as with {@link t.take}.
 */
export function gather(axis = 0): Layer {
  return joiningLayer({
    type: 'gather',
    options: { axis },
    arity: 2,
    join(scope, [data, indices]) {
      const at = sampleAxis(scope, 'gather', axis, data)
      const before = data.slice(0, at)
      const rest = data.slice(at + 1)
      const extent = data[at]
      return {
        output: [...before, ...indices, ...rest],
        apply([x, places], batch) {
          // The axis first, then what stood before it: rows of a table of [batch × axis].
          const spatial = before.map((_, i) => i + 1)
          const behind = rest.map((_, i) => at + 2 + i)
          const table = x.transpose(0, at + 1, ...spatial, ...behind).reshape([batch * extent, ...before, ...rest])
          const whole = places.cast('i32').reshape([batch, sizeOf(indices)])
          // Held in the axis: behind it stand the rows of the next sample.
          const counted = t.where(whole.less(0), whole.add(extent), whole).clamp(0, extent - 1)
          const first = t.iota(batch).mul(extent).reshape([batch, 1])
          const rows = t.take(table, counted.add(first)).reshape([batch, ...indices, ...before, ...rest])
          const [index, around] = [indices.map((_, i) => 1 + i), before.map((_, i) => 1 + indices.length + i)]
          const tail = rest.map((_, i) => 1 + indices.length + before.length + i)
          return rows.transpose(0, ...around, ...index, ...tail)
        },
      }
    },
  })
}
