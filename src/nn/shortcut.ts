import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { pad, slice, type Tensor } from '../tensor/index.ts'
import { type Layer, where } from './layer.ts'

/**
 * The input itself, made to fit a block that strides and adds channels: every stride-th pixel, and channels of zeros, as
 * many before as behind (one more behind when their number is odd). It has no parameters: option A of He et al. 2016,
 * "Deep residual learning for image recognition", section 3.3.
 * @param filters channels that come out, at least those that go in
 * @param options stride along both spatial axes; default 1
 * @throws ConfigError on numbers below 1
 */
export function identityShortcut(filters: number, options: { readonly stride?: number } = {}): Layer {
  checkOptions('nn.identityShortcut', options, ['stride'])
  const { stride = 1 } = options
  for (const [name, value] of Object.entries({ filters, stride })) {
    if (Number.isInteger(value) && value >= 1) continue
    throw new ConfigError({
      where: 'nn.identityShortcut',
      what: `${name} makes no sense`,
      got: String(value),
      expected: 'a whole number of at least 1',
      fix: `correct ${name}`,
    })
  }
  return {
    type: 'identityShortcut',
    options: { filters, stride },
    build(scope, input) {
      const [height, width, channels] = input
      if (input.length !== 3 || filters < channels) {
        throw new ShapeError({
          where: where(scope, 'identityShortcut'),
          what:
            input.length === 3 ? 'channels cannot be taken away' : `samples have ${input.length} axes, 3 are needed`,
          got: `samples of shape ${showShape(input)}, ${filters} filters`,
          expected: '[height, width, channels], at most as many channels as filters',
          fix: 'use nn.conv2d(filters, 1, { stride }) as the shortcut',
        })
      }
      const before = (filters - channels) >> 1
      const behind = filters - channels - before
      const apply = (x: Tensor): Tensor => {
        const taken = stride === 1 ? x : slice(x, [undefined, [0, height, stride], [0, width, stride]])
        return filters === channels
          ? taken
          : pad(taken, [
              [0, 0],
              [0, 0],
              [0, 0],
              [before, behind],
            ])
      }
      return { output: [Math.ceil(height / stride), Math.ceil(width / stride), filters], apply }
    },
    cost: () => ({
      multiplyAdds: 0,
      window: { kernelSize: [1, 1], stride: [stride, stride], dilation: [1, 1] },
      inPlace: true,
    }),
  }
}
