/** Residual networks for 32×32 pictures (He et al. 2016, "Deep residual learning for image recognition", section 4.2). */
import { ConfigError, checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import type { ArchitectureOptions } from './architecture.ts'
import { basicBlock, conv3x3, fanIn, fanOut, projection, type Shortcut, stage, zeroPadded } from './resnet-blocks.ts'

export interface SmallResNetOptions extends ArchitectureOptions {
  /** Filters of the first stage, doubled in each further one; default 16. */
  readonly width?: number
}

export interface CifarResNetOptions extends SmallResNetOptions {
  /**
   * How a block is gone around where the shape changes (section 3.3). `'identity'`, the paper's for these networks: every
   * other pixel, zeros as further channels (option A). `'projection'`: a 1×1 convolution and a norm (option B). Default
   * `'identity'`.
   */
  readonly shortcut?: 'identity' | 'projection'
}

interface Form {
  readonly start: typeof fanIn
  readonly shortcut: Shortcut
  readonly head: nn.Entry
}

/** 6n + 2 layers: a 3×3 stem, three stages of n blocks at full, half and quarter size, the mean over all places, one linear layer. */
function cifarResNet(n: number, width: number, { start, shortcut, head }: Form): nn.Layer {
  return nn.sequential(
    ['conv1', conv3x3(width, 1, start)],
    ['bn1', nn.batchNorm()],
    ['relu', nn.relu()],
    ['layer1', stage(n, basicBlock, width, 1, start)],
    ['layer2', stage(n, basicBlock, 2 * width, 2, start, shortcut(2 * width, 2, start))],
    ['layer3', stage(n, basicBlock, 4 * width, 2, start, shortcut(4 * width, 2, start))],
    ['avgpool', nn.globalAvgPool()],
    head,
  )
}

/** Names and initial values are those of the implementation whose weights are published: they differ by the shortcut. */
function ofDepth(depth: number, options: CifarResNetOptions): nn.Layer {
  checkOptions(`models.resnet${depth}`, options, ['classes', 'input', 'width', 'shortcut'])
  const { classes = 10, width = 16, shortcut = 'identity' } = options
  const n = (depth - 2) / 6
  switch (shortcut) {
    case 'identity': {
      const head = nn.linear(classes, { initializer: fanIn.initializer })
      return cifarResNet(n, width, { start: fanIn, shortcut: zeroPadded, head: ['linear', head] })
    }
    case 'projection':
      return cifarResNet(n, width, { start: fanOut, shortcut: projection, head: ['fc', nn.linear(classes)] })
    default:
      throw new ConfigError({
        where: `models.resnet${depth}`,
        what: `there is no shortcut '${String(shortcut satisfies never)}'`,
        expected: "'identity' (option A) or 'projection' (option B)",
        fix: 'use one of these',
      })
  }
}

/**
 * A small residual network: one block a stage, eight layers, and projections (option B) where the shape changes. 78,042
 * parameters for 3 channels.
 * @param options classes: default 10; width: default 16
 */
export function resnet8(options: SmallResNetOptions = {}): nn.Layer {
  checkOptions('models.resnet8', options, ['classes', 'input', 'width'])
  const { classes = 10, width = 16 } = options
  const head = nn.linear(classes, { initializer: fanIn.initializer })
  return cifarResNet(1, width, { start: fanIn, shortcut: projection, head: ['linear', head] })
}

/**
 * ResNet-20 for 32×32 pictures (n = 3). For 3 channels 269,722 parameters, with projections 272,474; 91.25 % on CIFAR-10
 * in the paper. Paths and initial values are those of akamaster's pytorch_resnet_cifar10; with projections (`resnet20B` by
 * name) those of chenyaofo's pytorch-cifar-models, where the last layer is `fc`.
 * @param options classes: default 10; width: default 16; shortcut: default `'identity'`
 */
export function resnet20(options: CifarResNetOptions = {}): nn.Layer {
  return ofDepth(20, options)
}

/** ResNet-32 (n = 5), 464,154 parameters; with projections 466,906. 92.49 % on CIFAR-10 in the paper. Else as {@link resnet20}. */
export function resnet32(options: CifarResNetOptions = {}): nn.Layer {
  return ofDepth(32, options)
}

/** ResNet-44 (n = 7), 658,586 parameters; with projections 661,338. 92.83 % on CIFAR-10 in the paper. Else as {@link resnet20}. */
export function resnet44(options: CifarResNetOptions = {}): nn.Layer {
  return ofDepth(44, options)
}

/** ResNet-56 (n = 9), 853,018 parameters; with projections 855,770. 93.03 % on CIFAR-10 in the paper. Else as {@link resnet20}. */
export function resnet56(options: CifarResNetOptions = {}): nn.Layer {
  return ofDepth(56, options)
}

/** ResNet-110 (n = 18), 1,727,962 parameters; with projections 1,730,714. 93.57 % on CIFAR-10 in the paper. Else as {@link resnet20}. */
export function resnet110(options: CifarResNetOptions = {}): nn.Layer {
  return ofDepth(110, options)
}
