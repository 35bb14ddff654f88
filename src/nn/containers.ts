import { ShapeError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import { relu as reluOf } from '../tensor/index.ts'
import { type Built, buildChild, type Layer, where } from './layer.ts'

/** Layers one after the other, named `0`, `1`, …, or as given. */
export function sequential(...layers: readonly (Layer | readonly [name: string, layer: Layer])[]): Layer {
  const named = layers.map((entry, i) => ('type' in entry ? ([String(i), entry] as const) : entry))
  return {
    type: 'sequential',
    options: {},
    layers: named,
    build(scope, input) {
      const built: Built[] = []
      let shape = input
      for (const [name, layer] of named) {
        const next = buildChild(scope, name, layer, shape)
        built.push(next)
        shape = next.output
      }
      return { output: shape, apply: (x) => built.reduce((value, layer) => layer.apply(value), x) }
    },
  }
}

export interface ResidualOptions {
  /** What the input passes on its way around; default: nothing, which asks the body to keep the shape. */
  readonly shortcut?: Layer
  /** After the sum; default `'relu'`. */
  readonly activation?: 'relu' | 'none'
}

/** activation(body(x) + shortcut(x)) (He et al. 2016, "Deep residual learning for image recognition"). */
export function residual(body: Layer, options: ResidualOptions = {}): Layer {
  const { shortcut, activation = 'relu' } = options
  return {
    type: 'residual',
    options: { activation },
    layers:
      shortcut === undefined
        ? [['body', body]]
        : [
            ['body', body],
            ['shortcut', shortcut],
          ],
    build(scope, input) {
      const inner = buildChild(scope, 'body', body, input)
      const around = shortcut === undefined ? undefined : buildChild(scope, 'shortcut', shortcut, input)
      const aside = around?.output ?? input
      if (!sameShape(inner.output, aside)) {
        throw new ShapeError({
          where: where(scope, 'residual'),
          what: 'body and shortcut give different shapes, which cannot be added',
          got: `body ${showShape(inner.output)}, shortcut ${showShape(aside)}`,
          expected: 'equal shapes',
          fix: 'give the residual a shortcut with the same stride and filters, for instance nn.conv2d(filters, 1, { stride })',
        })
      }
      return {
        output: inner.output,
        apply(x) {
          const sum = inner.apply(x).add(around === undefined ? x : around.apply(x))
          return activation === 'relu' ? reluOf(sum) : sum
        },
      }
    },
  }
}
