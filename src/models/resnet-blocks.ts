/** What residual networks are built of (He et al. 2016, "Deep residual learning for image recognition"). */
import * as nn from '../nn/index.ts'

/** How the convolutions of a network begin; all of them stand in front of a norm and have no bias. */
export interface Start {
  readonly bias: false
  readonly initializer: nn.WeightInitializer
}
export const fanIn: Start = { bias: false, initializer: { kind: 'he', fan: 'in' } }
export const fanOut: Start = { bias: false, initializer: { kind: 'he', fan: 'out' } }

export const conv3x3 = (filters: number, stride: number, start: Start): nn.Layer =>
  nn.conv2d(filters, 3, { stride, padding: 1, ...start })

/** A residual block: `filters` is the width of the stage, the shortcut there only where the shape changes. */
export type Block = (filters: number, stride: number, start: Start, shortcut?: nn.Entry) => nn.Layer

/** What fits the input to a block that strides or adds channels. */
export type Shortcut = (filters: number, stride: number, start: Start) => nn.Entry

/** Two 3×3 convolutions and a way around them (figure 5, left). */
export const basicBlock: Block = (filters, stride, start, shortcut) =>
  nn.residual(
    [
      ['conv1', conv3x3(filters, stride, start)],
      ['bn1', nn.batchNorm()],
      ['relu', nn.relu()],
      ['conv2', conv3x3(filters, 1, start)],
      ['bn2', nn.batchNorm()],
    ],
    { shortcut },
  )

/**
 * 1×1 to the stage's width, 3×3, and 1×1 to four times as many channels (figure 5, right). The 3×3 convolution strides,
 * as in torchvision ("ResNet v1.5"), where the paper's first one does.
 */
export const bottleneck: Block = (filters, stride, start, shortcut) =>
  nn.residual(
    [
      ['conv1', nn.conv2d(filters, 1, start)],
      ['bn1', nn.batchNorm()],
      ['relu1', nn.relu()],
      ['conv2', conv3x3(filters, stride, start)],
      ['bn2', nn.batchNorm()],
      ['relu2', nn.relu()],
      ['conv3', nn.conv2d(4 * filters, 1, start)],
      ['bn3', nn.batchNorm()],
    ],
    { shortcut },
  )

/** Option B of section 3.3: a 1×1 convolution fits the input to what the block gives. */
export const projection: Shortcut = (filters, stride, start) => [
  'downsample',
  nn.sequential(nn.conv2d(filters, 1, { stride, ...start }), nn.batchNorm()),
]

/** Option A: the input, every other pixel, and zeros as further channels. */
export const zeroPadded: Shortcut = (filters, stride) => ['shortcut', nn.identityShortcut(filters, { stride })]

/** Blocks of one width; the first one strides. `shortcut` makes its way around, where it needs one. */
export const stage = (blocks: number, block: Block, filters: number, stride: number, start: Start, first?: nn.Entry) =>
  nn.sequential(
    ...Array.from({ length: blocks }, (_, i) =>
      block(filters, i === 0 ? stride : 1, start, i === 0 ? first : undefined),
    ),
  )
