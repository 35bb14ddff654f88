import { ConfigError, checkOptions } from '../base/errors.ts'
import { type Tensor, take } from '../tensor/index.ts'
import { checkInitializer, firstValues, type WeightInitializer } from './initializer.ts'
import type { Layer } from './layer.ts'

export interface LinearOptions {
  /** Default true. */
  readonly bias?: boolean
  /** How the weight begins; the bias then begins at 0. Default: PyTorch's, both uniform within ±1/√inFeatures. */
  readonly initializer?: WeightInitializer
}

/**
 * y = x · weight + bias along the last axis. weight [inFeatures, outFeatures].
 * @throws ConfigError on fewer than one feature
 */
export function linear(features: number, options: LinearOptions = {}): Layer {
  if (!Number.isInteger(features) || features < 1) {
    throw new ConfigError({
      where: 'nn.linear',
      what: 'features makes no sense',
      got: String(features),
      expected: 'a whole number of at least 1',
      fix: 'give the number of outputs',
    })
  }
  checkOptions('nn.linear', options, ['bias', 'initializer'])
  checkInitializer('nn.linear', options.initializer)
  const hasBias = options.bias !== false
  return {
    type: 'linear',
    options: {
      features,
      ...(hasBias ? {} : { bias: false }),
      ...(options.initializer === undefined ? {} : { initializer: options.initializer }),
    },
    build(scope, input) {
      const inFeatures = input[input.length - 1] ?? 1
      const first = firstValues(options.initializer, [inFeatures, features])
      const weight = scope.parameter('weight', [inFeatures, features], first.weight)
      const bias = hasBias ? scope.parameter('bias', [features], first.bias) : undefined
      const apply = (x: Tensor): Tensor => {
        const product = x.matmul(weight.value)
        return bias === undefined ? product : product.add(bias.value)
      }
      return { output: [...input.slice(0, -1), features], apply }
    },
    cost: (input, output) => ({ multiplyAdds: output.reduce((a, b) => a * b, 1) * (input[input.length - 1] ?? 1) }),
  }
}

/**
 * A vector for each of `count` numbers: i32 [batch, …] to f32 [batch, …, features].
 * @throws ConfigError on sizes below 1
 */
export function embedding(count: number, features: number): Layer {
  if (!(Number.isInteger(count) && count >= 1 && Number.isInteger(features) && features >= 1)) {
    throw new ConfigError({
      where: 'nn.embedding',
      what: 'the table makes no sense',
      got: `${count} rows of ${features} features`,
      expected: 'whole numbers of at least 1',
      fix: 'give vocabulary size and features',
    })
  }
  return {
    type: 'embedding',
    options: { count, features },
    build(scope, input) {
      const weight = scope.parameter('weight', [count, features], { kind: 'normal', deviation: 1 })
      return { output: [...input, features], apply: (x) => take(weight.value, x) }
    },
  }
}
