import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, shorterSide, stridesLeftOut } from './architecture.ts'

/** Filters and kernel size of the convolutions between the pools. */
const groups: readonly (readonly (readonly [filters: number, kernelSize: number])[])[] = [
  [[16, 3]],
  [[32, 3]],
  [
    [16, 1],
    [128, 3],
    [16, 1],
    [128, 3],
  ],
  [
    [32, 1],
    [256, 3],
    [32, 1],
    [256, 3],
  ],
  [
    [64, 1],
    [512, 3],
    [64, 1],
    [512, 3],
    [128, 1],
  ],
]

const convolution = (filters: number, kernelSize: number): nn.Layer =>
  nn.sequential(
    [
      'conv',
      nn.conv2d(filters, kernelSize, { padding: kernelSize >> 1, bias: false, initializer: { kind: 'glorot' } }),
    ],
    ['bn', nn.batchNorm({ eps: 1e-3 })],
    ['act', nn.leakyRelu(0.1)],
  )

/**
 * Tiny Darknet (Redmon, pjreddie.com/darknet/tiny-darknet, `tiny.cfg`): fire modules without branches, a classifier of
 * photographs in 4 MB. 1,042,104 parameters for 3 channels and 1,000 classes. Numbers in paths are those of the sections
 * in `tiny.cfg`; norms and initial values are those of the Keras form, whose names {@link published} turns into paths.
 *
 * The network divides the sides of pictures by 16. Small ones, as `input` tells, keep more: the first pool is left out
 * where the shorter side is at most 64 pixels, the second too where it is at most 32. Parameters are the same in all forms.
 * @param options classes: default 1,000, in the forms for small pictures 10
 */
export function darknetTiny(options: ArchitectureOptions = {}): nn.Layer {
  checkOptions('models.darknetTiny', options, ['classes', 'input'])
  const leftOut = stridesLeftOut(shorterSide(options.input) ?? 224)
  const { classes = leftOut > 0 ? 10 : 1000 } = options
  const features: nn.Entry[] = []
  let section = 0
  for (const [i, convolutions] of groups.entries()) {
    for (const [filters, kernelSize] of convolutions) {
      features.push([String(section++), convolution(filters, kernelSize)])
    }
    // A pool is a section of its own; it keeps its number where it is left out.
    if (i < groups.length - 1 && i >= leftOut) features.push([String(section), nn.maxPool2d(2, { ceil: true })])
    section++
  }
  return nn.sequential(
    ['features', nn.sequential(...features)],
    // The classes are maps, and logits their means.
    ['classifier', nn.conv2d(classes, 1, { initializer: { kind: 'glorot' } })],
    ['avgpool', nn.globalAvgPool()],
  )
}
