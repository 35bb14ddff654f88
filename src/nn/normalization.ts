import { checkOptions } from '../base/errors.ts'
import { sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { type Layer, standIn, tried } from './layer.ts'

export interface BatchNormOptions {
  /** Added to the variance; default 1e-5. */
  readonly eps?: number
  /** Share of the batch's statistics in the running ones at each step; default 0.1, as in PyTorch. */
  readonly momentum?: number
}

/**
 * Normalises every channel over the batch, then scales and shifts it (Ioffe and Szegedy 2015). Evaluation uses running
 * statistics; the running variance is the unbiased one, as in PyTorch.
 */
export function batchNorm(options: BatchNormOptions = {}): Layer {
  checkOptions('nn.batchNorm', options, ['eps', 'momentum'])
  const { eps = 1e-5, momentum = 0.1 } = options
  return {
    type: 'batchNorm',
    options: { eps, momentum },
    build(scope, input) {
      const channels = [input[input.length - 1]]
      const weight = scope.parameter('weight', channels, { kind: 'constant', value: 1 }, { decays: false })
      const bias = scope.parameter('bias', channels, { kind: 'constant', value: 0 }, { decays: false })
      const mean = scope.state('running_mean', channels, 0)
      const variance = scope.state('running_var', channels, 1)
      return {
        output: input,
        apply(x) {
          const affine = [weight.value, bias.value] as const
          if (!scope.training()) {
            return t.batchNormInference(x, ...affine, mean.value, variance.value, eps)
          }
          const batch = t.batchNorm(x, ...affine, eps)
          const count = x.size / channels[0]
          const blend = (state: typeof mean, now: t.Tensor) =>
            state.assign(state.value.mul(1 - momentum).add(now.mul(momentum)))
          blend(mean, t.stopGradient(batch.mean))
          blend(variance, t.stopGradient(batch.variance).mul(count / Math.max(1, count - 1)))
          return batch.y
        },
      }
    },
    cost: (input) => ({ multiplyAdds: sizeOf(input) }),
  }
}

/** Normalises every sample over its last axis, then scales and shifts (Ba et al. 2016). */
export function layerNorm(options: { readonly eps?: number } = {}): Layer {
  checkOptions('nn.layerNorm', options, ['eps'])
  const { eps = 1e-5 } = options
  return {
    type: 'layerNorm',
    options: { eps },
    build(scope, input) {
      const features = [input[input.length - 1]]
      const weight = scope.parameter('weight', features, { kind: 'constant', value: 1 }, { decays: false })
      const bias = scope.parameter('bias', features, { kind: 'constant', value: 0 }, { decays: false })
      return { output: input, apply: (x) => t.layerNorm(x, weight.value, bias.value, eps) }
    },
    cost: (input) => ({ multiplyAdds: sizeOf(input) }),
  }
}

/** Normalises groups of channels of every sample over all its places (Wu and He 2018). */
export function groupNorm(groups: number, options: { readonly eps?: number } = {}): Layer {
  checkOptions('nn.groupNorm', options, ['eps'])
  const { eps = 1e-5 } = options
  return {
    type: 'groupNorm',
    options: { groups, eps },
    build(scope, input) {
      const channels = [input[input.length - 1]]
      const weight = scope.parameter('weight', channels, { kind: 'constant', value: 1 }, { decays: false })
      const bias = scope.parameter('bias', channels, { kind: 'constant', value: 0 }, { decays: false })
      const run = (x: t.Tensor, w: t.Tensor, b: t.Tensor) => t.groupNorm(x, groups, w, b, eps)
      const stand = standIn(channels)
      return {
        output: tried(scope, 'groupNorm', () => run(standIn([1, ...input]), stand, stand)),
        apply: (x) => run(x, weight.value, bias.value),
      }
    },
    cost: (input) => ({ multiplyAdds: sizeOf(input) }),
  }
}

/** Normalises every channel of every sample over its places, then scales and shifts it (Ulyanov et al. 2016). */
export function instanceNorm(options: { readonly eps?: number } = {}): Layer {
  checkOptions('nn.instanceNorm', options, ['eps'])
  const { eps = 1e-5 } = options
  return {
    type: 'instanceNorm',
    options: { eps },
    build(scope, input) {
      const channels = [input[input.length - 1]]
      const weight = scope.parameter('weight', channels, { kind: 'constant', value: 1 }, { decays: false })
      const bias = scope.parameter('bias', channels, { kind: 'constant', value: 0 }, { decays: false })
      const run = (x: t.Tensor, w: t.Tensor, b: t.Tensor) => t.instanceNorm(x, w, b, eps)
      const stand = standIn(channels)
      return {
        output: tried(scope, 'instanceNorm', () => run(standIn([1, ...input]), stand, stand)),
        apply: (x) => run(x, weight.value, bias.value),
      }
    },
    cost: (input) => ({ multiplyAdds: sizeOf(input) }),
  }
}

/**
 * Divides by the squares of neighbouring channels: local response normalisation (Krizhevsky et al. 2012, section 3.3).
 * The window of an even size holds one channel more behind than in front, as in ONNX; PyTorch's holds one more in front.
 * @param options size 5, alpha 1e-4, beta 0.75, k 1, as in PyTorch
 */
export function lrn(options: t.LocalResponseNormOptions = {}): Layer {
  checkOptions('nn.lrn', options, ['size', 'alpha', 'beta', 'k'])
  return {
    type: 'lrn',
    options: { ...options },
    build(scope, input) {
      const apply = (x: t.Tensor) => t.localResponseNorm(x, options)
      return { output: tried(scope, 'lrn', () => apply(standIn([1, ...input]))), apply }
    },
    cost: (input) => ({ multiplyAdds: sizeOf(input) * (options.size ?? 5) }),
  }
}
