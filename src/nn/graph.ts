import { ConfigError, checkOptions } from '../base/errors.ts'
import type { Tensor } from '../tensor/index.ts'
import { type Joined, joinReported, type Layer } from './layer.ts'

type Named = readonly [name: string, layer: Layer]

export interface GraphOptions {
  /**
   * What a layer takes: names of layers before it, or `input`, which is what the graph itself is given. Layers that are
   * left out take the result of the one before them.
   */
  readonly inputs?: { readonly [name: string]: readonly string[] }
  /** The layer whose result comes out; default: the last. */
  readonly output?: string
}

const graphInput = 'input'

/** What each layer takes. */
function wiresOf(
  layers: readonly Named[],
  inputs: NonNullable<GraphOptions['inputs']>,
): Map<string, readonly string[]> {
  const wires = new Map<string, readonly string[]>()
  let before = graphInput
  for (const [name, layer] of layers) {
    wires.set(name, Object.hasOwn(inputs, name) ? inputs[name] : layer.arity === 0 ? [] : [before])
    before = name
  }
  return wires
}

function fail(what: string, got: string, expected: string, fix: string): never {
  throw new ConfigError({ where: 'nn.graph', what, got, expected, fix })
}

function check(layers: readonly Named[], { inputs = {}, output }: GraphOptions): void {
  const seen = new Set([graphInput])
  const known = new Set(layers.map(([name]) => name))
  if (layers.length === 0) fail('there are no layers', 'none', 'at least one layer', 'give the graph its layers')
  for (const [name] of layers) {
    if (name === '' || seen.has(name)) {
      fail(
        name === graphInput ? 'the name "input" is taken' : 'the layers cannot be told apart by name',
        `"${name}"`,
        'names that differ and are not empty; "input" is what the graph is given',
        `rename "${name}"`,
      )
    }
    for (const taken of Object.hasOwn(inputs, name) ? inputs[name] : []) {
      if (seen.has(taken)) continue
      const order = known.has(taken) ? 'which stands behind it' : 'which is not in the graph'
      fail(
        `"${name}" takes "${taken}", ${order}`,
        `inputs: { "${name}": [${inputs[name].map((one) => `"${one}"`).join(', ')}] }`,
        '"input" or layers that stand before it in the list',
        'list the layers in the order in which they are computed',
      )
    }
    seen.add(name)
  }
  const stray = [...Object.keys(inputs), ...(output === undefined ? [] : [output])].find((name) => !known.has(name))
  if (stray !== undefined) {
    fail('there is no such layer', `"${stray}"`, `one of ${[...known].join(', ')}`, 'correct the name')
  }
}

/**
 * Layers with wires between them, for networks that are no chain: what several layers take, and layers that take several
 * inputs, as `nn.add()` and `nn.concat()` do. Layers are listed in the order in which they are computed.
 *
 * Names may hold dots here (`layer1.0.conv1`), so that parameters keep the paths of the file they came from.
 * @throws ConfigError on names that do not differ, and wires that lead nowhere or backwards
 * @example
 * nn.graph(
 *   [['a', nn.conv2d(8, 1)], ['b', nn.conv2d(8, 3, { padding: 1 })], ['both', nn.concat()]],
 *   { inputs: { b: ['input'], both: ['a', 'b'] } },
 * )
 */
export function graph(layers: readonly Named[], options: GraphOptions = {}): Layer {
  checkOptions('nn.graph', options, ['inputs', 'output'])
  check(layers, options)
  const wires = wiresOf(layers, options.inputs ?? {})
  const output = options.output ?? layers[layers.length - 1][0]
  return {
    type: 'graph',
    options: {
      ...(options.inputs === undefined ? {} : { inputs: options.inputs }),
      ...(options.output === undefined ? {} : { output: options.output }),
    },
    layers,
    wires,
    build(scope, input) {
      const shapes = new Map([[graphInput, input]])
      const built = new Map<string, Joined>()
      for (const [name, layer] of layers) {
        const takes = wires.get(name) as readonly string[]
        const joined = joinReported(
          scope.child(name),
          layer,
          takes.map((from) => shapes.get(from) ?? input),
        )
        built.set(name, joined)
        shapes.set(name, joined.output)
      }
      return {
        output: shapes.get(output) ?? input,
        apply(x) {
          const values = new Map<string, Tensor>([[graphInput, x]])
          for (const [name, { apply }] of built) {
            const takes = wires.get(name) as readonly string[]
            const value = apply(
              takes.map((from) => values.get(from) as Tensor),
              x.shape[0],
            )
            values.set(name, value)
          }
          return values.get(output) as Tensor
        },
      }
    },
    route(input, through) {
      const values = new Map([[graphInput, input]])
      for (const [name, takes] of wires) {
        values.set(
          name,
          through.layer(
            name,
            takes.map((from) => values.get(from) ?? input),
          ),
        )
      }
      return values.get(output) ?? input
    },
  }
}
