import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, sameShape, showShape } from '../base/shape.ts'
import { relu as reluOf } from '../tensor/index.ts'
import { relu } from './activations.ts'
import { add } from './arithmetic.ts'
import { type Built, buildChild, type Layer, type Scope, type Through, where } from './layer.ts'

type Named = readonly [name: string, layer: Layer]
/** A layer inside another one. Without a name it has that of its place: `0`, `1`, …. */
export type Entry = Layer | Named

const nameOf = (entry: Entry, i: number): Named => ('type' in entry ? [String(i), entry] : entry)

/** Two layers of one name would have one path, and their parameters one place in files. */
function checkNames(where: string, layers: readonly Named[]): void {
  const names = layers.map(([name]) => name)
  const wrong = names.find((name, i) => name === '' || name.includes('.') || names.indexOf(name) !== i)
  if (wrong === undefined) return
  throw new ConfigError({
    where,
    what: `the layers cannot be told apart by name`,
    got: names.map((name) => `"${name}"`).join(', '),
    expected: 'names that differ, are not empty and hold no dot: paths are made of them',
    fix: `rename "${wrong}"`,
  })
}

function buildChain(scope: Scope, layers: readonly Named[], input: Shape): Built {
  const built: Built[] = []
  let shape = input
  for (const [name, layer] of layers) {
    const next = buildChild(scope, name, layer, shape)
    built.push(next)
    shape = next.output
  }
  return { output: shape, apply: (x) => built.reduce((value, layer) => layer.apply(value), x) }
}

function routeChain<V>(layers: readonly Named[], input: V, through: Through<V>): V {
  return layers.reduce((value, [name]) => through.layer(name, [value]), input)
}

/**
 * Layers one after the other, named `0`, `1`, …, or as given.
 * @throws ConfigError on names that do not differ
 * @example
 * nn.sequential(['conv1', nn.conv2d(6, 5)], nn.relu(), nn.flatten(), ['head', nn.linear(10)])
 */
export function sequential(...layers: readonly Entry[]): Layer {
  const named = layers.map(nameOf)
  checkNames('nn.sequential', named)
  return {
    type: 'sequential',
    options: {},
    layers: named,
    build: (scope, input) => buildChain(scope, named, input),
    route: (input, through) => routeChain(named, input, through),
  }
}

export interface ResidualOptions {
  /**
   * What the input passes on its way around, named `shortcut` unless given a name; default: nothing, which asks the
   * body to keep the shape.
   */
  readonly shortcut?: Entry
  /** After the sum; default `'relu'`. */
  readonly activation?: 'relu' | 'none'
}

/**
 * activation(body(x) + shortcut(x)) (He et al. 2016, "Deep residual learning for image recognition", section 3.2).
 * @param body one layer, whose path is then `body`; or several that follow each other, whose names stand directly under
 * the block's
 * @throws ConfigError on a body without layers, or names that do not differ
 * @example
 * nn.residual([['conv1', nn.conv2d(64, 3, { padding: 1 })], nn.relu(), ['conv2', nn.conv2d(64, 3, { padding: 1 })]])
 */
export function residual(body: Layer | readonly Entry[], options: ResidualOptions = {}): Layer {
  checkOptions('nn.residual', options, ['shortcut', 'activation'])
  const { activation = 'relu' } = options
  const inner: readonly Named[] = 'type' in body ? [['body', body]] : body.map(nameOf)
  const around: readonly Named[] =
    options.shortcut === undefined
      ? []
      : 'type' in options.shortcut
        ? [['shortcut', options.shortcut]]
        : [options.shortcut]
  if (inner.length === 0) {
    throw new ConfigError({
      where: 'nn.residual',
      what: 'the body is empty',
      expected: 'at least one layer that the shortcut goes around',
      fix: 'give the body its layers',
    })
  }
  const layers = [...inner, ...around]
  checkNames('nn.residual', layers)
  const [shortcut] = around.map(([name]) => name)
  return {
    type: 'residual',
    options: { activation, ...(shortcut === undefined || shortcut === 'shortcut' ? {} : { shortcut }) },
    layers,
    branches: [inner.map(([name]) => name), around.map(([name]) => name)],
    route(input, through) {
      const sum = through.inline(add(), [routeChain(inner, input, through), routeChain(around, input, through)])
      return activation === 'relu' ? through.inline(relu(), [sum]) : sum
    },
    build(scope, input) {
      const through = buildChain(scope, inner, input)
      const aside = buildChain(scope, around, input)
      if (!sameShape(through.output, aside.output)) {
        throw new ShapeError({
          where: where(scope, 'residual'),
          what: 'body and shortcut give different shapes, which cannot be added',
          got: `body ${showShape(through.output)}, shortcut ${showShape(aside.output)}`,
          expected: 'equal shapes',
          fix: 'give the residual a shortcut with the same stride and filters, for instance nn.conv2d(filters, 1, { stride })',
        })
      }
      return {
        output: through.output,
        apply(x) {
          const sum = through.apply(x).add(aside.apply(x))
          return activation === 'relu' ? reluOf(sum) : sum
        },
      }
    },
  }
}
