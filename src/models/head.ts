/** The verbs that every network answers, by whatever name it goes: what its features are, what its head is, and a new head. */
import { ConfigError } from '../base/errors.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { layerFromJson } from '../nn/from-json.ts'
import * as nn from '../nn/index.ts'
import { describe, init, type Model } from '../nn/model.ts'

export interface Head {
  /** Where it stands: `fc`, `classifier.1`. */
  readonly path: string
  /** A linear layer, or a convolution with a kernel of 1. */
  readonly layer: nn.Layer
  /** How many numbers it gives. */
  readonly classes: number
}

export interface ReplaceHeadOptions {
  /** Leaves out softmax, log-softmax and sigmoid behind the head, so that logits come out: what losses want. Default false. */
  readonly logits?: boolean
}

/** What may stand between the head and the end: each class keeps its place, and nothing is learned. */
const behindHead = new Set([
  ...['dropout', 'flatten', 'identity', 'reshape', 'permute', 'reduce', 'scalar', 'cast'],
  ...['globalAvgPool', 'globalMaxPool', 'avgPool1d', 'avgPool2d', 'avgPool3d', 'maxPool1d', 'maxPool2d', 'maxPool3d'],
  ...['relu', 'relu6', 'leakyRelu', 'softmax', 'logSoftmax', 'sigmoid', 'logSigmoid'],
])
/** Of these, the ones that may put classes and places into one axis. */
const regrouping = new Set(['flatten', 'reshape', 'permute', 'reduce'])
const pooling = /^(globalAvg|globalMax|avg|max)Pool|^(reduce|reshape)$/
/** What leaves places as they are. */
const passing = new Set([
  ...[
    'dropout',
    'identity',
    'batchNorm',
    'relu',
    'relu6',
    'leakyRelu',
    'elu',
    'silu',
    'hardSwish',
    'gelu',
    'scalar',
    'cast',
  ],
])
const probabilities = new Set(['softmax', 'logSoftmax', 'sigmoid', 'logSigmoid'])

/** The option that holds the number of classes, if the layer can be a head. */
function classesOption({ type, options }: nn.Layer): 'features' | 'filters' | undefined {
  if (type === 'linear') return 'features'
  const { kernelSize, groups = 1 } = options
  const pointwise = [kernelSize].flat().every((size) => size === 1) && groups === 1
  return /^conv[123]d$/.test(type) && pointwise ? 'filters' : undefined
}

/** Names from the outside to the head; or the layer that stands where one should be, `undefined` where all let pass. */
type Found = { readonly way: readonly string[]; readonly layer: nn.Layer } | { readonly obstacle: string } | undefined

const layersOf = ({ layers = [] }: nn.Layer): NonNullable<nn.Layer['layers']> => layers
const outputOf = (graph: nn.Layer): string =>
  (graph.options.output as string | undefined) ?? layersOf(graph)[layersOf(graph).length - 1][0]

/** Files write a linear layer as a product, and a sum with numbers that stand by themselves. */
const isBias = ({ type, options }: nn.Layer): boolean =>
  type === 'binary' && (options.op === 'add' || options.op === 'sub')

/** What a layer of a graph takes beside numbers that stand by themselves, if that is one thing. */
function taken({ layers, wires }: nn.Layer, name: string): string | undefined {
  const named = new Map(layers)
  const varying = (wires?.get(name) ?? []).filter((from) => named.get(from)?.type !== 'value')
  return varying.length === 1 ? varying[0] : undefined
}

type Placed = readonly [path: string, layer: nn.Layer]

/**
 * The head of a net, if it has one.
 * @param input shape of a sample, where it is known; then it is known, too, what a flatten takes
 */
export function findHead(net: nn.Layer, input?: Shape): Found {
  const behind: Placed[] = []
  const found = search(net, '', behind)
  if (found === undefined || 'obstacle' in found) return found
  const mixing =
    input === undefined ? mixesUnseen(net, found, behind.reverse()) : mixes(net, input, found.layer, behind.reverse())
  return mixing === undefined ? found : { obstacle: `${nameOf(mixing)}, which mixes classes with places` }
}

const nameOf = ([path, { type }]: Placed): string => (path === '' ? type : `${type} "${path}"`)
const classesOf = ({ options }: nn.Layer, option: string): number => options[option] as number

/** The layer behind the head that does not keep the classes apart. */
function mixes(net: nn.Layer, input: Shape, head: nn.Layer, behind: readonly Placed[]): Placed | undefined {
  if (!behind.some(([, { type }]) => regrouping.has(type))) return undefined
  const classes = classesOf(head, classesOption(head) as string)
  const reports = new Map(describe(net, input).reports.map((report) => [report.path, report]))
  let last = true
  return behind.find(([path, { type, options }]) => {
    const { input: arriving, output } = reports.get(path) as nn.LayerReport
    if (type === 'flatten') return sizeOf(arriving) !== classes
    if (type === 'reshape') return sizeOf(arriving) !== classes && !output.includes(classes)
    if (type === 'permute') last = false
    if (type !== 'reduce') return false
    const alongLast = (options.axes as readonly number[]).some((axis) => axis === -1 || axis === arriving.length - 1)
    return (last && alongLast) || !output.includes(classes)
  })
}

/** The same where no shape is known: places are gone behind what pools them, in front of the head or behind it. */
function mixesUnseen(
  net: nn.Layer,
  found: { readonly way: readonly string[]; readonly layer: nn.Layer },
  behind: readonly Placed[],
): Placed | undefined {
  const rank = Number(/^conv(\d)d$/.exec(found.layer.type)?.[1] ?? 0)
  let places = rank > 0 && !poolsInFront(net, found.way.join('.'))
  let last = true
  return behind.find(([, { type, options }]) => {
    if (type === 'flatten') return places
    if (type === 'permute') last = false
    if (pooling.test(type)) places = false
    const axes = type === 'reduce' ? (options.axes as readonly number[]) : []
    return last && axes.some((axis) => axis === -1 || (rank > 0 && axis === rank))
  })
}

/** Whether the last layer before the head that has to do with places is a pool. */
function poolsInFront(net: nn.Layer, head: string): boolean {
  const leaves = (layer: nn.Layer, path: string): readonly Placed[] =>
    layer.layers?.flatMap(([name, inner]) => leaves(inner, path === '' ? name : `${path}.${name}`)) ?? [[path, layer]]
  const all = leaves(net, '')
  const front = all.slice(
    0,
    all.findIndex(([path]) => path === head),
  )
  const near = front.findLast(([, layer]) => pooling.test(layer.type) || !passing.has(layer.type))
  return near !== undefined && pooling.test(near[1].type)
}

/** Goes from the end of the net towards its beginning. @param behind gets the layers on the way, the last one first */
function search(net: nn.Layer, path: string, behind: Placed[]): Found {
  if (classesOption(net) !== undefined) return { way: [], layer: net }
  if (behindHead.has(net.type)) {
    behind.push([path, net])
    return undefined
  }
  const named = new Map(net.layers)
  const inside = (name: string): Found => {
    const found = search(named.get(name) as nn.Layer, path === '' ? name : `${path}.${name}`, behind)
    return found !== undefined && 'way' in found ? { ...found, way: [name, ...found.way] } : found
  }
  if (net.type === 'sequential') {
    for (const name of [...named.keys()].reverse()) {
      const found = inside(name)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (net.type === 'graph' && net.wires !== undefined) {
    for (let at = outputOf(net); at !== 'input'; ) {
      const from = taken(net, at)
      const found = from !== undefined && isBias(named.get(at) as nn.Layer) ? undefined : inside(at)
      if (found !== undefined) return found
      if (from === undefined) return { obstacle: `${named.get(at)?.type} "${path === '' ? at : `${path}.${at}`}"` }
      at = from
    }
    return undefined
  }
  return { obstacle: path === '' ? net.type : `${net.type} "${path}"` }
}

function theHead(verb: string, net: nn.Layer | Model): { readonly way: readonly string[]; readonly layer: nn.Layer } {
  const found = isModel(net) ? findHead(net.net, net.inputShape) : findHead(net)
  if (found !== undefined && 'way' in found) return found
  throw new ConfigError({
    where: `models.${verb}`,
    what: 'the network has no head',
    got:
      found === undefined ? 'a network without a layer that could be one' : `a network that ends in ${found.obstacle}`,
    expected: 'a linear layer or a 1×1 convolution, and behind it only pools, flatten, activations and dropout',
    fix: 'put one behind the network: nn.sequential(net, nn.flatten(), nn.linear(classes))',
  })
}

/** What becomes of a layer at a path; `undefined`: it is left out. */
type Change = (layer: nn.Layer, path: string) => nn.Layer | undefined
interface Changes {
  readonly atHead: Change
  /** Of every layer behind the head. */
  readonly behind: Change
  /** Whether layers of graphs go that lead nowhere then. */
  readonly prune: boolean
}
type Named = readonly [name: string, layer: nn.Layer]

/** Changes the head, and every layer behind it. All others stay as they are. */
function change(layer: nn.Layer, path: string, way: readonly string[], changes: Changes): nn.Layer | undefined {
  if (way.length === 0) return changes.atHead(layer, path)
  const [at, ...further] = way
  const behind = namesBehind(layer, at, !changes.prune)
  return changeSome(layer, path, changes, (name, inner, to) => {
    if (name === at) return change(inner, to, further, changes)
    return behind.has(name) ? changeAll(inner, to, changes) : inner
  })
}

/** Changes all layers inside that hold no others. */
function changeAll(layer: nn.Layer, path: string, changes: Changes): nn.Layer | undefined {
  if (layer.layers === undefined) return changes.behind(layer, path)
  return changeSome(layer, path, changes, (_name, inner, to) => changeAll(inner, to, changes))
}

function changeSome(
  layer: nn.Layer,
  path: string,
  { prune }: Changes,
  changed: (name: string, inner: nn.Layer, path: string) => nn.Layer | undefined,
): nn.Layer | undefined {
  const layers = layersOf(layer).flatMap(([name, inner]): Named[] => {
    const to = changed(name, inner, path === '' ? name : `${path}.${name}`)
    return to === undefined ? [] : [[name, to]]
  })
  return withLayers(layer, layers, prune)
}

/** Of the layers inside, those between one of them and the end. */
function namesBehind(layer: nn.Layer, name: string, values: boolean): Set<string> {
  const { wires } = layer
  if (wires === undefined) {
    const names = layersOf(layer).map(([inner]) => inner)
    return new Set(names.slice(names.indexOf(name) + 1))
  }
  const behind = new Set<string>()
  for (let at = outputOf(layer); at !== name; ) {
    const from = taken(layer, at) as string
    behind.add(at)
    for (const other of values ? (wires.get(at) ?? []) : []) if (other !== from) behind.add(other)
    at = from
  }
  return behind
}

/** A row or a graph with other layers inside; `undefined` where nothing is left of it. */
function withLayers(of: nn.Layer, layers: readonly Named[], prune: boolean): nn.Layer | undefined {
  const { wires } = of
  if (wires === undefined) return layers.length === 0 ? undefined : nn.sequential(...layers)
  // Who took a layer that is left out takes what that one took.
  const kept = new Set(layers.map(([name]) => name))
  const source = (name: string): string =>
    name === 'input' || kept.has(name) ? name : source(taken(of, name) as string)
  const output = source(outputOf(of))
  if (output === 'input') return undefined
  const takes = new Map(layers.map(([name]) => [name, (wires.get(name) as readonly string[]).map(source)]))
  const needed = prune ? reach(output, takes) : kept
  const rest = layers.filter(([name]) => needed.has(name))
  const inputs: Record<string, readonly string[]> = {}
  let before = 'input'
  for (const [name] of rest) {
    const from = takes.get(name) as readonly string[]
    if (from.length > 1 || (from.length === 1 && from[0] !== before)) inputs[name] = from
    before = name
  }
  const some = Object.keys(inputs).length > 0
  return nn.graph(rest, { ...(some ? { inputs } : {}), ...(output === before ? {} : { output }) })
}

/** All layers that one depends on, itself included. */
function reach(name: string, takes: ReadonlyMap<string, readonly string[]>, into = new Set<string>()): Set<string> {
  if (into.has(name) || name === 'input') return into
  into.add(name)
  for (const from of takes.get(name) ?? []) reach(from, takes, into)
  return into
}

const isModel = (net: nn.Layer | Model): net is Model => typeof net === 'function'
const netOf = (net: nn.Layer | Model): nn.Layer => (isModel(net) ? net.net : net)

/** A model of another net, with the values of a model, but for those of layers that begin anew. */
async function withValues(model: Model, net: nn.Layer, seed?: number, fresh: readonly string[] = []): Promise<Model> {
  const next = init(net, { input: model.inputShape, seed }).train(model.training)
  next.pictures = model.pictures
  const isFresh = (name: string) => fresh.some((path) => path === '' || name.startsWith(`${path}.`))
  const trainable = new Map(model.parameters.map((parameter) => [parameter.name, parameter.trainable]))
  for (const parameter of next.parameters) {
    if (!isFresh(parameter.name)) parameter.trainable = trainable.get(parameter.name) ?? true
  }
  for (const state of [...next.parameters, ...next.states]) {
    if (!isFresh(state.name)) await state.load(await model.get(state.name).data())
  }
  return next
}

/**
 * The layer that decides: the last linear layer or 1×1 convolution, behind which only pools, flatten, activations and
 * dropout stand, and none that mixes classes with places: a flatten only where one place is left. Where the shape of
 * samples is not known, of layers that are no model yet, a pool has to say so.
 * @throws ConfigError when the network has none
 * @example
 * models.head(models.squeezeNet()).path // 'classifier.1'
 */
export function head(net: nn.Layer | Model): Head {
  const { way, layer } = theHead('head', net)
  return { path: way.join('.'), layer, classes: classesOf(layer, classesOption(layer) as string) }
}

/**
 * Everything in front of the head: gives what the head sees, in most networks one vector a picture. Parameters keep their
 * paths. A model's values are copied.
 * @throws ConfigError when the network has no head
 * @example
 * const embed = await models.features(model)
 */
export function features(net: nn.Layer): nn.Layer
export function features(net: Model): Promise<Model>
export function features(net: nn.Layer | Model): nn.Layer | Promise<Model> {
  const { way } = theHead('features', net)
  const nothing = (): undefined => undefined
  const front = change(netOf(net), '', way, { atHead: nothing, behind: nothing, prune: true }) ?? nn.sequential()
  return isModel(net) ? withValues(net, front) : front
}

/**
 * The same network with a head for another number of classes. All other parameters keep their paths, and a model's their
 * values and whether they are trained; the head begins anew.
 * @param options logits: leave out the softmax behind it; seed, for models: of the head's first values, default 0
 * @throws ConfigError when the network has no head
 * @example
 * const mine = await models.replaceHead(model, 5, { seed: 1 })
 */
export function replaceHead(net: nn.Layer, classes: number, options?: ReplaceHeadOptions): nn.Layer
export function replaceHead(
  net: Model,
  classes: number,
  options?: ReplaceHeadOptions & { readonly seed?: number },
): Promise<Model>
export function replaceHead(
  net: nn.Layer | Model,
  classes: number,
  options: ReplaceHeadOptions & { readonly seed?: number } = {},
): nn.Layer | Promise<Model> {
  const { way, layer } = theHead('replaceHead', net)
  const option = classesOption(layer) as string
  const { type, options: before } = layer
  const atHead: Change = () => layerFromJson({ type, options: { ...before, [option]: classes } })
  const fresh = [way.join('.')]
  const resized = (shape: readonly number[]): readonly number[] => {
    const at = shape.lastIndexOf(before[option] as number)
    return shape.map((extent, axis) => (axis === at ? classes : extent))
  }
  const behind: Change = (one, path) => {
    if (options.logits === true && probabilities.has(one.type)) return undefined
    if (one.type !== 'reshape' && one.type !== 'value') return one
    if (one.type === 'value') fresh.push(path)
    const shape = resized(one.options.shape as readonly number[])
    return layerFromJson({ type: one.type, options: { ...one.options, shape } })
  }
  const next = change(netOf(net), '', way, { atHead, behind, prune: false }) as nn.Layer
  return isModel(net) ? withValues(net, next, options.seed, fresh) : next
}
