/** Elements put elsewhere by composition: borders that repeat what is inside, blocks of pixels as channels and back. */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import type { Node } from '../graph/node.ts'
import { broadcastTo, reshape } from './broadcast.ts'
import { checkCount, checkFilled } from './operands.ts'
import { concat, pad, type Range, slice, transpose } from './shape-ops.ts'

/**
 * What stands in a border: one value; `'edge'` the nearest element; `'reflect'` the elements mirrored at the outermost
 * one, which is not repeated; `'wrap'` the other end. NumPy's modes of these names.
 */
export type PadFill = number | 'edge' | 'reflect' | 'wrap'

const largest = 2 ** 24

const modulo = (a: number, n: number): number => ((a % n) + n) % n

/** Which of `n` elements stands at a place from before the first to behind the last. */
const sources: Readonly<Record<Exclude<PadFill, number>, (place: number, n: number) => number>> = {
  edge: (place, n) => Math.min(n - 1, Math.max(0, place)),
  reflect(place, n) {
    if (n === 1) return 0
    const turned = modulo(place, 2 * (n - 1))
    return Math.min(turned, 2 * (n - 1) - turned)
  },
  wrap: modulo,
}

/**
 * `x` with a border.
 * @param padding `[before, after]` for every axis
 * @param fill default 0
 * @throws ShapeError when there is not one pair an axis, ConfigError on a negative or broken number or an unknown fill
 */
export function padWith(x: Node, padding: readonly (readonly [number, number])[], fill: PadFill = 0): Node {
  if (typeof fill === 'number') return pad(x, padding, fill)
  if (!Object.hasOwn(sources, fill)) {
    throw new ConfigError({
      where: 'pad',
      what: 'the fill makes no sense',
      got: `'${fill}'`,
      expected: `a number, ${Object.keys(sources)
        .map((name) => `'${name}'`)
        .join(', ')}`,
      fix: "use for instance 'edge'",
    })
  }
  checkFilled('pad', 'x', x)
  // Checks the pairs in the words that constants have.
  const { shape } = pad(x, padding)
  if (Math.max(...shape) > largest) {
    throw new ConfigError({
      where: 'pad',
      what: 'the border is absurdly large',
      got: `${showShape(x.shape)} to ${showShape(shape)}`,
      expected: `at most ${largest} elements along an axis`,
      fix: 'pad less',
    })
  }
  return shape.reduce((value, extent, axis) => {
    const [before] = padding[axis]
    const n = value.shape[axis]
    const places = Array.from({ length: extent }, (_, i) => sources[fill](i - before, n))
    return extent === n
      ? value
      : concat(
          runs(places).map((run) => taken(value, axis, run)),
          axis,
        )
  }, x)
}

interface Run {
  readonly first: number
  readonly step: number
  readonly count: number
}

/** Places as few walks with steps of -1, 0 or 1. */
function runs(places: readonly number[]): Run[] {
  const list: Run[] = []
  for (let i = 0; i < places.length; ) {
    const step = i + 1 < places.length ? Math.sign(places[i + 1] - places[i]) : 1
    let count = 1
    while (i + count < places.length && places[i + count] - places[i + count - 1] === step) count++
    list.push({ first: places[i], step, count })
    i += count
  }
  return list
}

function taken(x: Node, axis: number, { first, step, count }: Run): Node {
  const range: Range = step === 0 ? [first, first + 1] : step > 0 ? [first, first + count] : backwards(first, count)
  const part = slice(
    x,
    x.shape.map((_, a) => (a === axis ? range : null)),
  )
  return step === 0
    ? broadcastTo(
        part,
        x.shape.map((extent, a) => (a === axis ? count : extent)),
      )
    : part
}

/** An end before the first element cannot be said in numbers. */
function backwards(first: number, count: number): Range {
  return first - count < 0 ? [first, undefined, -1] : [first, first - count, -1]
}

/** `'DCR'`: channels hold block row, block column, channel, in this order; `'CRD'`: channel, block row, block column. */
export type BlockOrder = 'DCR' | 'CRD'

/**
 * Channels become blocks of pixels (Shi et al. 2016, "Real-time single image and video super-resolution", section 3.2).
 * @param x [batch, height, width, channels · block²]
 * @param order default `'DCR'`, ONNX's; `'CRD'` is PyTorch's pixel_shuffle
 * @returns [batch, height · block, width · block, channels]
 * @throws ShapeError, ConfigError
 */
export function depthToSpace(x: Node, block: number, order: BlockOrder = 'DCR'): Node {
  checkBlocks('depthToSpace', x, block, order)
  const [images, height, width, depth] = x.shape
  const channels = depth / (block * block)
  if (!Number.isInteger(channels)) {
    throw new ShapeError({
      where: 'depthToSpace',
      what: `${depth} channels do not make blocks of ${block}×${block}`,
      got: `x ${showShape(x.shape)}`,
      expected: `a multiple of ${block * block} channels`,
      fix: 'use another block',
    })
  }
  const split = order === 'DCR' ? [block, block, channels] : [channels, block, block]
  const [row, column, channel] = order === 'DCR' ? [3, 4, 5] : [4, 5, 3]
  const blocks = transpose(reshape(x, [images, height, width, ...split]), [0, 1, row, 2, column, channel])
  return reshape(blocks, [images, height * block, width * block, channels])
}

/**
 * Blocks of pixels become channels: undoes {@link depthToSpace}.
 * @param x [batch, height · block, width · block, channels]
 * @param order default `'DCR'`, ONNX's; `'CRD'` is PyTorch's pixel_unshuffle
 * @returns [batch, height, width, channels · block²]
 * @throws ShapeError, ConfigError
 */
export function spaceToDepth(x: Node, block: number, order: BlockOrder = 'DCR'): Node {
  checkBlocks('spaceToDepth', x, block, order)
  const [images, tall, wide, channels] = x.shape
  const [height, width] = [tall / block, wide / block]
  if (!Number.isInteger(height) || !Number.isInteger(width)) {
    throw new ShapeError({
      where: 'spaceToDepth',
      what: `${tall}×${wide} pixels are not made of blocks of ${block}×${block}`,
      got: `x ${showShape(x.shape)}`,
      expected: `height and width that are multiples of ${block}`,
      fix: 'pad the picture, or use another block',
    })
  }
  const axes = order === 'DCR' ? [0, 1, 3, 2, 4, 5] : [0, 1, 3, 5, 2, 4]
  const blocks = transpose(reshape(x, [images, height, block, width, block, channels]), axes)
  return reshape(blocks, [images, height, width, channels * block * block])
}

function checkBlocks(where: string, x: Node, block: number, order: string): void {
  checkCount(where, 'block', block)
  if (order !== 'DCR' && order !== 'CRD') {
    throw new ConfigError({
      where,
      what: 'the order makes no sense',
      got: `'${order}'`,
      expected: "'DCR' or 'CRD'",
      fix: 'leave it out for DCR',
    })
  }
  if (x.shape.length === 4) return
  throw new ShapeError({
    where,
    what: `x has ${x.shape.length} ${x.shape.length === 1 ? 'axis' : 'axes'}`,
    got: `x ${showShape(x.shape)}`,
    expected: 'x [batch, height, width, channels]',
    fix: 'reshape it; axes of 1 stand for one image or one channel',
  })
}
