import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, shorterSide } from './architecture.ts'

/**
 * LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition", section
 * II.B) as it is built today: ReLU for the scaled tanh, max-pools for the trained averages, every filter of the second
 * convolution sees all six maps, and logits for the radial basis functions. 61,706 parameters for one channel.
 *
 * The paper's pictures are 28×28 digits in a field of 32×32. Pictures below 32 pixels get that border as padding of the
 * first convolution, so that 28×28 and 32×32 have the same parameters.
 * @param options classes: default 10; input: default 28×28
 */
export function lenet5(options: ArchitectureOptions = {}): nn.Layer {
  checkOptions('models.lenet5', options, ['classes', 'input'])
  const { classes = 10, input } = options
  const padding = (shorterSide(input) ?? 28) < 32 ? 2 : 0
  return nn.sequential(
    ['conv1', nn.conv2d(6, 5, { padding })],
    ['relu1', nn.relu()],
    ['pool1', nn.maxPool2d(2)],
    ['conv2', nn.conv2d(16, 5)],
    ['relu2', nn.relu()],
    ['pool2', nn.maxPool2d(2)],
    ['flatten', nn.flatten()],
    ['fc1', nn.linear(120)],
    ['relu3', nn.relu()],
    ['fc2', nn.linear(84)],
    ['relu4', nn.relu()],
    ['fc3', nn.linear(classes)],
  )
}
