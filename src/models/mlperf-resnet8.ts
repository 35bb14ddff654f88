import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import type { ArchitectureOptions } from './architecture.ts'

// Keras's `same`: where a convolution strides, the odd pixel of the border is at the end.
const start = { padding: 'same', initializer: { kind: 'he', fan: 'in' } } as const

const norm = (): nn.Layer => nn.batchNorm({ eps: 1e-3 })

function block(filters: number, stride: number): nn.Layer {
  const shortcut: nn.Entry = ['downsample', nn.conv2d(filters, 1, { stride, ...start })]
  return nn.residual(
    [
      ['conv1', nn.conv2d(filters, 3, { stride, ...start })],
      ['bn1', norm()],
      ['relu', nn.relu()],
      ['conv2', nn.conv2d(filters, 3, start)],
      ['bn2', norm()],
    ],
    { shortcut: stride > 1 ? shortcut : undefined },
  )
}

/**
 * The ResNet-8 of MLPerf Tiny's image classification (Banbury et al. 2021, "MLPerf Tiny benchmark"; mlcommons/tiny,
 * `image_classification/keras_model.py`). 78,186 parameters for 3 channels, and 480 running
 * statistics.
 *
 * It differs from {@link resnet8}: convolutions have biases, norms Keras's epsilon 1e-3, strided convolutions their border
 * at the end, and projections no norm. Published weights want pixels of 0 … 255, not of 0 … 1. Names of the published file
 * are others, {@link published} knows them. The momentum of norms is ours: with Keras's 0.99, running statistics reach the
 * batches' only after some hundred steps.
 * @param options classes: default 10
 */
export function mlperfResnet8(options: ArchitectureOptions = {}): nn.Layer {
  checkOptions('models.mlperfResnet8', options, ['classes', 'input'])
  const { classes = 10 } = options
  return nn.sequential(
    ['conv1', nn.conv2d(16, 3, start)],
    ['bn1', norm()],
    ['relu', nn.relu()],
    ['layer1', nn.sequential(block(16, 1))],
    ['layer2', nn.sequential(block(32, 2))],
    ['layer3', nn.sequential(block(64, 2))],
    ['avgpool', nn.globalAvgPool()],
    ['linear', nn.linear(classes, { initializer: start.initializer })],
  )
}
