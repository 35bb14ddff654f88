/** Pools over windows and over all places. */
import * as nn from '../../nn/index.ts'
import { booleanOr, perAxis, short, textOr } from './options.ts'
import { type Converter, withChannelsLast } from './use.ts'

const layers = {
  max: [nn.maxPool1d, nn.maxPool2d, nn.maxPool3d],
  avg: [nn.avgPool1d, nn.avgPool2d, nn.avgPool3d],
} as const

function pool(kind: 'max' | 'avg', rank: 1 | 2 | 3): Converter {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const size = perAxis(use.config, 'pool_size', rank, 2)
      const stride = perAxis(use.config, 'strides', rank, size)
      const same = textOr(use.config, 'padding', ['valid', 'same'], 'valid') === 'same'
      const options = {
        ...(stride.every((value, axis) => value === size[axis]) ? {} : { stride: short(stride) }),
        ...(same ? { padding: 'same' as const } : {}),
        // Keras takes the mean of what is there.
        ...(same && kind === 'avg' ? { countIncludePad: false } : {}),
      }
      return use.main(layers[kind][rank - 1](short(size), options), [input])
    })
}

function globalPool(kind: 'max' | 'mean', rank: 1 | 2 | 3): Converter {
  return (use) => {
    const keepDims = booleanOr(use.config, 'keepdims', false)
    const compute = (input: string) => {
      if (!keepDims) return use.main(kind === 'mean' ? nn.globalAvgPool() : nn.globalMaxPool(), [input])
      const axes = Array.from({ length: rank }, (_, axis) => axis)
      return use.main(nn.reduce(kind, axes, { keepDims }), [input])
    }
    return withChannelsLast(use, rank, compute, { back: keepDims })
  }
}

const ranks = [1, 2, 3] as const
const entries = ranks.flatMap((rank): (readonly [string, Converter])[] => [
  [`MaxPooling${rank}D`, pool('max', rank)],
  [`AveragePooling${rank}D`, pool('avg', rank)],
  [`GlobalMaxPooling${rank}D`, globalPool('max', rank)],
  [`GlobalAveragePooling${rank}D`, globalPool('mean', rank)],
])

export const pooling: Readonly<Record<string, Converter>> = Object.fromEntries(entries)
