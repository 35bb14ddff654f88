/** Layers that move pixels: borders, other sizes, blocks of pixels as channels. None has parameters. */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { type Json, type Layer, standIn, tried, where } from './layer.ts'

export interface PadOptions {
  /** Default `'constant'`. */
  readonly mode?: 'constant' | 'edge' | 'reflect' | 'wrap'
  /** What stands in a constant border. Default 0. */
  readonly value?: number
}

/**
 * A border around every sample.
 * @param pads `[before, after]` for every axis of a sample
 * @throws ConfigError on numbers below 0 or an unknown mode
 */
export function pad(pads: readonly (readonly [number, number])[], options: PadOptions = {}): Layer {
  checkOptions('nn.pad', options, ['mode', 'value'])
  const { mode = 'constant', value = 0 } = options
  const known = ['constant', 'edge', 'reflect', 'wrap']
  const whole = pads.every((pair) => pair.length === 2 && pair.every((count) => Number.isInteger(count) && count >= 0))
  if (!known.includes(mode) || !whole || !Number.isFinite(value)) {
    throw new ConfigError({
      where: 'nn.pad',
      what: 'the border makes no sense',
      got: JSON.stringify({ pads, mode, value }),
      expected: `[before, after] of whole numbers for every axis, and one of ${known.join(', ')}`,
      fix: 'correct the options; to take elements away, use nn.slice',
    })
  }
  return {
    type: 'pad',
    options: { pads, mode, ...(mode === 'constant' ? { value } : {}) },
    build(scope, input) {
      if (input.length !== pads.length) {
        throw new ShapeError({
          where: where(scope, 'pad'),
          what: `samples have ${input.length} axes, the border has ${pads.length}`,
          got: `samples of shape ${showShape(input)}`,
          expected: '[before, after] for every axis of a sample',
          fix: 'give [0, 0] for axes that stay as they are',
        })
      }
      const apply = (x: t.Tensor) => t.pad(x, [[0, 0], ...pads], mode === 'constant' ? value : mode)
      return { output: tried(scope, 'pad', () => apply(standIn([1, ...input]))), apply }
    },
    cost: () => ({ multiplyAdds: 0 }),
  }
}

const resizeNames = [
  ...['size', 'scale', 'mode', 'coordinates', 'nearestRounding'],
  ...['cubicCoefficient', 'excludeOutside', 'antialias'],
]

/**
 * Other extents along the spatial axes: nearest, linear or cubic, as ONNX's Resize.
 * @param options size or scale, one number or one a spatial axis; see {@link t.ResizeOptions}
 * @throws ConfigError
 * @example
 * nn.resize({ scale: 2, mode: 'linear' })
 */
export function resize(options: t.ResizeOptions): Layer {
  checkOptions('nn.resize', options, resizeNames)
  if (options.size === undefined && options.scale === undefined) {
    throw new ConfigError({
      where: 'nn.resize',
      what: 'neither size nor scale is given',
      expected: 'one of them, a number or one for each spatial axis',
      fix: 'for instance scale: 2',
    })
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return {
    type: 'resize',
    options: Object.fromEntries(given) as { [name: string]: Json },
    build(scope, input) {
      checkRank(where(scope, 'resize'), input)
      const apply = (x: t.Tensor) => t.resize(x, options)
      return { output: tried(scope, 'resize', () => apply(standIn([1, ...input]))), apply }
    },
    cost(input, output) {
      const { mode = 'nearest', antialias = false } = options
      const strides = input.slice(0, -1).map((extent, axis) => extent / output[axis])
      const taps = { nearest: 1, linear: 2, cubic: 4 }[mode]
      return {
        multiplyAdds:
          mode === 'nearest'
            ? 0
            : sizeOf(output) *
              input.slice(0, -1).reduce((sum, extent, i) => sum + (extent === output[i] ? 0 : extent), 0),
        window: {
          kernelSize: strides.map((s) => (s === 1 ? 1 : antialias && s > 1 ? Math.ceil(taps * s) : taps)),
          stride: strides,
          dilation: strides.map(() => 1),
        },
      }
    },
  }
}

function checkRank(at: string, input: Shape): void {
  if (input.length >= 2) return
  throw new ShapeError({
    where: at,
    what: `samples have ${input.length} ${input.length === 1 ? 'axis' : 'axes'}`,
    got: `samples of shape ${showShape(input)}`,
    expected: '[...spatial, channels]',
    fix: 'reshape the samples',
  })
}

function blocks(
  type: 'depthToSpace' | 'spaceToDepth',
  block: number,
  options: { readonly order?: t.BlockOrder },
  outputOf: (input: Shape) => Shape,
): Layer {
  checkOptions(`nn.${type}`, options, ['order'])
  const { order = 'DCR' } = options
  if (!Number.isInteger(block) || block < 1 || !['DCR', 'CRD'].includes(order)) {
    throw new ConfigError({
      where: `nn.${type}`,
      what: 'the blocks make no sense',
      got: `block ${block}, order '${order}'`,
      expected: "a whole number of at least 1; 'DCR' or 'CRD'",
      fix: 'correct them',
    })
  }
  return {
    type,
    options: { block, order },
    build(scope, input) {
      const output = outputOf(input)
      if (input.length !== 3 || !output.every(Number.isInteger)) {
        throw new ShapeError({
          where: where(scope, type),
          what: `the samples are not made of blocks of ${block}×${block}`,
          got: `samples of shape ${showShape(input)}`,
          expected:
            type === 'depthToSpace'
              ? `[height, width, channels], channels a multiple of ${block * block}`
              : `[height, width, channels], height and width multiples of ${block}`,
          fix: 'use another block',
        })
      }
      return { output, apply: (x) => (type === 'depthToSpace' ? t.depthToSpace : t.spaceToDepth)(x, block, order) }
    },
    cost() {
      const [kernel, stride] = type === 'depthToSpace' ? [1, 1 / block] : [block, block]
      return {
        multiplyAdds: 0,
        window: { kernelSize: [kernel, kernel], stride: [stride, stride], dilation: [1, 1] },
      }
    },
  }
}

/**
 * Channels become blocks of pixels (Shi et al. 2016, section 3.2): [height, width, channels · block²] to
 * [height · block, width · block, channels].
 * @param options order of what a pixel's channels hold: `'DCR'` (default, ONNX's) block row, block column, channel;
 * `'CRD'` (PyTorch's pixel_shuffle) channel, block row, block column
 * @throws ConfigError
 */
export function depthToSpace(block: number, options: { readonly order?: t.BlockOrder } = {}): Layer {
  const outputOf = ([height, width, channels]: Shape) => [height * block, width * block, channels / (block * block)]
  return blocks('depthToSpace', block, options, outputOf)
}

/** Undoes {@link depthToSpace}: blocks of pixels become channels. @throws ConfigError */
export function spaceToDepth(block: number, options: { readonly order?: t.BlockOrder } = {}): Layer {
  const outputOf = ([height, width, channels]: Shape) => [height / block, width / block, channels * block * block]
  return blocks('spaceToDepth', block, options, outputOf)
}
