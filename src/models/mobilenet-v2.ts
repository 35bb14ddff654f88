import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, checkWidth, shorterSide, stridesLeftOut } from './architecture.ts'

export interface MobileNetV2Options extends ArchitectureOptions {
  /** Factor on the filters of every layer, which are then rounded to multiples of 8; default 1. */
  readonly width?: number
}

/** Table 2: expansion of the block inside, filters, blocks, stride of the first one. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

const start = { bias: false, initializer: { kind: 'he', fan: 'out' } } as const

const convolution = (filters: number, kernelSize: number, stride = 1): nn.Layer =>
  nn.sequential(
    nn.conv2d(filters, kernelSize, { stride, padding: kernelSize >> 1, ...start }),
    nn.batchNorm(),
    nn.relu6(),
  )

const depthwise = (stride: number): nn.Layer =>
  nn.sequential(nn.depthwiseConv2d(3, { stride, padding: 1, ...start }), nn.batchNorm(), nn.relu6())

/** Few channels to many, a depthwise convolution there, and back without an activation (section 3.3, figure 4d). */
function invertedResidual(channels: number, filters: number, stride: number, expansion: number): nn.Layer {
  const conv = nn.sequential(
    ...(expansion === 1 ? [] : [convolution(channels * expansion, 1)]),
    depthwise(stride),
    nn.conv2d(filters, 1, start),
    nn.batchNorm(),
  )
  const goesAround = stride === 1 && channels === filters
  return goesAround ? nn.residual([['conv', conv]], { activation: 'none' }) : nn.sequential(['conv', conv])
}

/** The nearest multiple of 8, at least 8, and not more than a tenth below. */
function roundFilters(filters: number): number {
  const rounded = Math.max(8, Math.floor((filters + 4) / 8) * 8)
  return rounded < 0.9 * filters ? rounded + 8 : rounded
}

/**
 * MobileNetV2 (Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks"). 3,504,872 parameters for 3
 * channels, width 1 and 1,000 classes. Paths and initial values are torchvision's.
 *
 * The network divides the sides of pictures by 32. Small ones, as `input` tells, keep more: by 16 where the shorter side
 * is at most 64 pixels (the stem has stride 1), by 8 where it is at most 32 (so has the stage of 24 filters).
 * Parameters are the same in all forms.
 * @param options classes: default 1,000, in the forms for small pictures 10; width: default 1
 * @throws ConfigError when the width is not above 0
 */
export function mobileNetV2(options: MobileNetV2Options = {}): nn.Layer {
  checkOptions('models.mobileNetV2', options, ['classes', 'input', 'width'])
  const { width = 1 } = options
  checkWidth('models.mobileNetV2', width, '1, or 0.35 to 1.4')
  const leftOut = stridesLeftOut(shorterSide(options.input) ?? 224)
  const { classes = leftOut > 0 ? 10 : 1000 } = options
  let strides = 0
  const kept = (stride: number): number => (stride > 1 && strides++ < leftOut ? 1 : stride)

  let channels = roundFilters(32 * width)
  const features = [convolution(channels, 3, kept(2))]
  for (const [expansion, widthOne, blocks, stride] of stages) {
    const filters = roundFilters(widthOne * width)
    for (let i = 0; i < blocks; i++) {
      features.push(invertedResidual(channels, filters, i === 0 ? kept(stride) : 1, expansion))
      channels = filters
    }
  }
  features.push(convolution(roundFilters(1280 * Math.max(1, width)), 1))
  return nn.sequential(
    ['features', nn.sequential(...features)],
    ['avgpool', nn.globalAvgPool()],
    [
      'classifier',
      nn.sequential(nn.dropout(0.2), nn.linear(classes, { initializer: { kind: 'normal', deviation: 0.01 } })),
    ],
  )
}
