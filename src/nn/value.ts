import { checkOptions } from '../base/errors.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { joiningLayer, type Layer } from './layer.ts'

export interface ValueOptions {
  /** Whether training changes it: then it is a parameter, otherwise a state. Default true. */
  readonly trainable?: boolean
  /** Default f32. Whole numbers are never trained; they are kept as f32, which holds all up to 2²⁴ (16,777,216). */
  readonly dtype?: 'f32' | 'i32'
}

/**
 * Numbers that depend on no input, the same for every sample: a learned position, a table, a mask. For `nn.graph`. They
 * begin as zeros and are named `value`.
 * @param shape without the batch
 */
export function value(shape: Shape, options: ValueOptions = {}): Layer {
  checkOptions('nn.value', options, ['trainable', 'dtype'])
  const { trainable = true, dtype = 'f32' } = options
  const size = sizeOf(shape)
  return joiningLayer({
    type: 'value',
    options: {
      shape,
      ...(trainable ? {} : { trainable }),
      ...(dtype === 'f32' ? {} : { dtype }),
    },
    arity: 0,
    join(scope) {
      const state =
        trainable && dtype === 'f32'
          ? scope.parameter('value', shape, { kind: 'constant', value: 0 })
          : scope.state('value', shape, 0)
      return {
        output: shape,
        apply(_none, batch) {
          const values = dtype === 'f32' ? state.value : state.value.cast('i32')
          return size === 0 ? values : values.reshape([1, ...shape]).broadcastTo([batch, ...shape])
        },
      }
    },
  })
}
