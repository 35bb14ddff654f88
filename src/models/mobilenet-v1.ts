import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, checkWidth, shorterSide, stridesLeftOut } from './architecture.ts'

export interface MobileNetV1Options extends ArchitectureOptions {
  /** Factor on the filters of every layer; default 0.25. */
  readonly width?: number
}

/** Table 1: filters, blocks, stride of the first one. */
const stages = [
  [64, 1, 1],
  [128, 2, 2],
  [256, 2, 2],
  [512, 6, 2],
  [1024, 2, 2],
] as const

// Keras's `same`: where a convolution strides, the odd pixel of the border is at the end.
const start = { padding: 'same', initializer: { kind: 'he', fan: 'in' } } as const

const norm = (): nn.Layer => nn.batchNorm({ eps: 1e-3 })

/** A depthwise convolution, then a 1×1 one (section 3.1, figure 3). */
const separable = (filters: number, stride: number): nn.Layer =>
  nn.sequential(
    ['conv_dw', nn.depthwiseConv2d(3, { ...start, stride, initializer: { kind: 'glorot' } })],
    ['bn1', norm()],
    ['act1', nn.relu()],
    ['conv_pw', nn.conv2d(filters, 1, start)],
    ['bn2', norm()],
    ['act2', nn.relu()],
  )

/**
 * MobileNetV1 (Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision applications")
 * as MLPerf Tiny has it for visual wake words, "is there a person?" (Chowdhery et al. 2019, "Visual wake words dataset";
 * mlcommons/tiny, `visual_wake_words/vww_model.py`): a quarter of the filters, two classes, pictures of 96×96. 216,322
 * parameters for 3 channels, and 5,472 running statistics.
 *
 * Convolutions have biases, norms Keras's epsilon 1e-3 (and our momentum, see `mlperfResnet8`), strided convolutions
 * their border at the end. Paths are those of timm's mobilenetv1; names of the published file are others, {@link published}
 * knows them.
 *
 * The network divides the sides of pictures by 32. Small ones, as `input` tells, keep more: by 16 where the shorter side
 * is at most 64 pixels (the stem has stride 1), by 8 where it is at most 32. Parameters are the same in all forms.
 * @param options classes: default 2; width: default 0.25
 * @throws ConfigError when the width is not above 0
 */
export function mobileNetV1(options: MobileNetV1Options = {}): nn.Layer {
  checkOptions('models.mobileNetV1', options, ['classes', 'input', 'width'])
  const { classes = 2, width = 0.25 } = options
  checkWidth('models.mobileNetV1', width, '0.25, 0.5, 0.75 or 1')
  const leftOut = stridesLeftOut(shorterSide(options.input) ?? 96)
  const wide = (filters: number): number => Math.max(1, Math.floor(filters * width))
  let strides = 0
  const kept = (stride: number): number => (stride > 1 && strides++ < leftOut ? 1 : stride)
  return nn.sequential(
    ['conv_stem', nn.conv2d(wide(32), 3, { stride: kept(2), ...start })],
    ['bn1', norm()],
    ['act1', nn.relu()],
    [
      'blocks',
      nn.sequential(
        ...stages.map(([filters, blocks, stride]) =>
          nn.sequential(
            ...Array.from({ length: blocks }, (_, i) => separable(wide(filters), i === 0 ? kept(stride) : 1)),
          ),
        ),
      ),
    ],
    ['global_pool', nn.globalAvgPool()],
    ['classifier', nn.linear(classes, { initializer: { kind: 'glorot' } })],
  )
}
