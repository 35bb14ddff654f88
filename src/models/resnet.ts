/** Residual networks of basic blocks (He et al. 2016, "Deep residual learning for image recognition"). */
import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, shorterSide } from './architecture.ts'

/** How the convolutions of a network begin; all of them stand in front of a norm and have no bias. */
interface Start {
  readonly bias: false
  readonly initializer: nn.WeightInitializer
}
const fanIn: Start = { bias: false, initializer: { kind: 'he', fan: 'in' } }
const fanOut: Start = { bias: false, initializer: { kind: 'he', fan: 'out' } }

const conv3x3 = (filters: number, stride: number, start: Start): nn.Layer =>
  nn.conv2d(filters, 3, { stride, padding: 1, ...start })

/** Two 3×3 convolutions and a way around them (figure 5, left). */
const basicBlock = (filters: number, stride: number, start: Start, shortcut?: nn.Entry): nn.Layer =>
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

/** Option B of section 3.3: a 1×1 convolution fits the input to what the block gives. */
const projection = (filters: number, stride: number, start: Start): nn.Entry => [
  'downsample',
  nn.sequential(nn.conv2d(filters, 1, { stride, ...start }), nn.batchNorm()),
]

/** Option A: the input, every other pixel, and zeros as further channels. */
const zeroPadded = (filters: number, stride: number): nn.Entry => ['shortcut', nn.identityShortcut(filters, { stride })]

/** Blocks of one width; the first one strides and needs `shortcut` when the shape changes. */
function stage(blocks: number, filters: number, stride: number, start: Start, shortcut: typeof projection): nn.Layer {
  return nn.sequential(
    ...Array.from({ length: blocks }, (_, i) =>
      i === 0 && stride > 1
        ? basicBlock(filters, stride, start, shortcut(filters, stride, start))
        : basicBlock(filters, 1, start),
    ),
  )
}

export interface CifarResNetOptions extends ArchitectureOptions {
  /** Filters of the first stage, doubled in each further one; default 16. */
  readonly width?: number
}

/**
 * Section 4.2: 6n + 2 layers for 32×32 pictures. A 3×3 stem, three stages of n blocks at full, half and quarter size,
 * the mean over all places, one linear layer.
 */
function cifarResNet(name: string, n: number, shortcut: typeof projection, options: CifarResNetOptions): nn.Layer {
  checkOptions(`models.${name}`, options, ['classes', 'input', 'width'])
  const { classes = 10, width = 16 } = options
  return nn.sequential(
    ['conv1', conv3x3(width, 1, fanIn)],
    ['bn1', nn.batchNorm()],
    ['relu', nn.relu()],
    ['layer1', stage(n, width, 1, fanIn, shortcut)],
    ['layer2', stage(n, 2 * width, 2, fanIn, shortcut)],
    ['layer3', stage(n, 4 * width, 2, fanIn, shortcut)],
    ['avgpool', nn.globalAvgPool()],
    ['linear', nn.linear(classes, { initializer: fanIn.initializer })],
  )
}

/**
 * A small residual network: that of section 4.2 with one block a stage, eight layers, and projections (option B) where
 * the shape changes. 78,042 parameters for 3 channels.
 * @param options classes: default 10; width: default 16
 */
export function resnet8(options: CifarResNetOptions = {}): nn.Layer {
  return cifarResNet('resnet8', 1, projection, options)
}

/**
 * ResNet-20 for 32×32 pictures (section 4.2, n = 3, option A shortcuts). 269,722 parameters for 3 channels; 91.25 % on
 * CIFAR-10 in the paper. Paths are those of akamaster's pytorch_resnet_cifar10.
 * @param options classes: default 10; width: default 16
 */
export function resnet20(options: CifarResNetOptions = {}): nn.Layer {
  return cifarResNet('resnet20', 3, zeroPadded, options)
}

export interface ResNet18Options extends ArchitectureOptions {
  /**
   * `'imagenet'`: a 7×7 stem of stride 2 and a 3×3 max-pool of stride 2, as in table 1; `'cifar'`: a 3×3 stem of stride 1
   * and no pool. Default: `'cifar'` where the shorter side of `input` is at most 64 pixels.
   */
  readonly form?: 'cifar' | 'imagenet'
}

/**
 * ResNet-18 (table 1; projections, option B, where the shape changes). 11,689,512 parameters for 3 channels and 1,000
 * classes. Paths are torchvision's; the form for small pictures differs from it in the shape of `conv1.weight`.
 * @param options classes: default 1,000, in the form for small pictures 10
 */
export function resnet18(options: ResNet18Options = {}): nn.Layer {
  checkOptions('models.resnet18', options, ['classes', 'input', 'form'])
  const small = (shorterSide(options.input) ?? 224) <= 64
  const { form = small ? 'cifar' : 'imagenet' } = options
  const { classes = form === 'cifar' ? 10 : 1000 } = options
  const stem: readonly nn.Entry[] = [
    ['conv1', form === 'cifar' ? conv3x3(64, 1, fanOut) : nn.conv2d(64, 7, { stride: 2, padding: 3, ...fanOut })],
    ['bn1', nn.batchNorm()],
    ['relu', nn.relu()],
  ]
  return nn.sequential(
    ...stem,
    ...(form === 'cifar' ? [] : [['maxpool', nn.maxPool2d(3, { stride: 2, padding: 1 })] as const]),
    ['layer1', stage(2, 64, 1, fanOut, projection)],
    ['layer2', stage(2, 128, 2, fanOut, projection)],
    ['layer3', stage(2, 256, 2, fanOut, projection)],
    ['layer4', stage(2, 512, 2, fanOut, projection)],
    ['avgpool', nn.globalAvgPool()],
    ['fc', nn.linear(classes)],
  )
}
