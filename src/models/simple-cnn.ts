import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import type { ArchitectureOptions } from './architecture.ts'

/**
 * The classic network for 28×28 digits: two 3×3 convolutions, one max-pool, two linear layers. 1.2 million parameters
 * at 28×28×1.
 * @param options classes: default 10
 */
export function simpleCnn(options: ArchitectureOptions = {}): nn.Layer {
  checkOptions('models.simpleCnn', options, ['classes', 'input'])
  const { classes = 10 } = options
  return nn.sequential(
    nn.conv2d(32, 3),
    nn.relu(),
    nn.conv2d(64, 3),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.linear(128),
    nn.relu(),
    nn.linear(classes),
  )
}
