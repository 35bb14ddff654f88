/** Operators that patterns of several nodes stand for: see patterns.ts. No file names them. */
import * as nn from '../../../nn/index.ts'
import type { Layer } from '../../../nn/layer.ts'
import type { Operator } from '../operator.ts'
import { convolution } from './convolution.ts'
import { linear } from './linear.ts'
import { channelNorm, normalization } from './normalization.ts'

const pointwise = (layer: () => Layer): Operator => ({
  versions: [1],
  read: (node) => node.pointwise(node.flow(0), layer()),
})

/** As of their newest version, whatever the file's opset. */
export const fused = {
  Gelu: pointwise(() => nn.gelu()),
  GeluTanh: pointwise(() => nn.gelu('tanh')),
  Silu: pointwise(() => nn.silu()),
  Mish: pointwise(() => nn.mish()),
  HardSwish: pointwise(() => nn.hardSwish()),
  Linear: { versions: [13], read: linear.MatMul.read },
  Conv: convolution.Conv,
  LayerNormalization: normalization.LayerNormalization,
  ChannelNormalization: { versions: [1], read: channelNorm },
  GroupNormalization: { ...normalization.GroupNormalization, versions: [21] },
} as const satisfies Readonly<Record<string, Operator>>
