/** Models: a tree of layers with its parameters, ready to be applied. */

import type { TypedArray } from '../base/dtype.ts'
import { ConfigError, FormatError, ShapeError } from '../base/errors.ts'
import { hashString, Random } from '../base/random.ts'
import { type Shape, sameShape, showShape } from '../base/shape.ts'
import { atEndOfStep, type Fill, guarded, Parameter, State, type Tensor, tensor } from '../tensor/index.ts'
import { buildReported, type Initializer, type Layer, type LayerReport, type Scope } from './layer.ts'

/** What was taken from pictures and divided out before a net was trained on them, in values of 0 … 1. */
export interface PictureNormalization {
  /** One number, or one a channel. */
  readonly mean: number | readonly number[]
  /** One number, or one a channel; above 0. */
  readonly std: number | readonly number[]
}

export interface InitOptions {
  /** Shape of one sample without the batch: `[height, width, channels]`. */
  readonly input: Shape
  /** Any integer; equal seeds give equal parameters. Default 0. */
  readonly seed?: number
}

/** A model is a function of a batch. u8 batches are pictures: they are scaled to [0, 1] and normalised on entry. */
export interface Model {
  (x: Tensor): Tensor
  readonly net: Layer
  /** One sample, without the batch. */
  readonly inputShape: Shape
  readonly outputShape: Shape
  /** What gradients reach, in the order of the layers. */
  readonly parameters: readonly Parameter[]
  /** Running statistics. */
  readonly states: readonly State[]
  /** The key that dropout and the like draw from, i32 [2]; moves on with every step of training. Not saved by {@link save}. */
  readonly random: State
  /**
   * What the net wants of pictures: (x - mean) / std of values in [0, 1]. It is saved with the model. Default: none, the
   * values as they are.
   */
  pictures: PictureNormalization | undefined
  /** What becomes of u8 pictures on entry; pictures that were made f32 in [0, 1] before are only normalised. */
  normalize(x: Tensor): Tensor
  /** Number of trainable values and others. */
  readonly parameterCount: number
  /** Dropout drops and norms use the batch's own statistics while true, as in PyTorch. */
  readonly training: boolean
  /** Sets training mode; returns the model. */
  train(on?: boolean): Model
  /** Sets inference mode; returns the model. */
  eval(): Model
  /** The parameter or state at a path. */
  get(path: string): State
  /** All parameters and states by path, copied. */
  save(): Promise<Map<string, { shape: Shape; data: TypedArray }>>
  /**
   * Loads values by path.
   * @throws FormatError naming what is missing, unexpected or of another shape; nothing is changed then
   */
  load(
    values: ReadonlyMap<string, { readonly shape: Shape; readonly data: TypedArray }>,
    source?: string,
  ): Promise<void>
}

function initialize(initializer: Initializer, seed: number, path: string): Fill {
  if (initializer.kind === 'constant') return (into) => into.fill(initializer.value)
  const random = new Random(seed, path)
  if (initializer.kind === 'uniform') {
    const { bound } = initializer
    return (into) => {
      for (let i = 0; i < into.length; i++) into[i] = random.uniform(-bound, bound)
    }
  }
  return (into) => {
    random.fillNormal(into, 0, initializer.deviation)
  }
}

/** Refuses a path that was there before: two values of one path have one place in files. */
function claiming(): (path: string) => void {
  const taken = new Set<string>()
  return (path) => {
    if (taken.has(path)) {
      throw new ConfigError({
        where: 'model',
        what: 'two parameters have one path, and files could hold only one of them',
        got: `"${path}" twice`,
        expected: 'a path of its own for every parameter',
        fix: 'rename a layer: in nn.graph, "a.b" is also the path of a layer "b" inside "a"',
      })
    }
    taken.add(path)
  }
}

/**
 * Brings a net's parameters into being for samples of a shape.
 * @throws ShapeError when some layer can't take what arrives at it; the message names the layer's path
 * @throws ConfigError when two parameters have one path
 * @example
 * const model = init(nn.sequential(nn.conv2d(8, 3), nn.relu(), nn.flatten(), nn.linear(10)), { input: [28, 28, 1], seed: 1 })
 */
export function init(net: Layer, options: InitOptions): Model {
  const seed = options.seed ?? 0
  const parameters: Parameter[] = []
  const states: State[] = []
  const mode = { training: true }
  const claim = claiming()
  const random = new State('random', [2], Int32Array.of(seed ^ hashString('training'), 0), 'i32')
  const scope = (path: string): Scope => {
    const at = (name: string) => (path === '' ? name : `${path}.${name}`)
    return {
      path,
      stream: hashString(path),
      child: (name) => scope(at(name)),
      training: () => guarded(() => mode.training),
      parameter(name, shape, initializer, { decays } = {}) {
        claim(at(name))
        const values = () => initialize(initializer, seed, at(name))
        const parameter = new Parameter(at(name), shape, values, decays)
        parameters.push(parameter)
        return parameter
      },
      state(name, shape, value) {
        claim(at(name))
        const state = new State(at(name), shape, () => (into) => into.fill(value))
        states.push(state)
        return state
      },
      randomKey() {
        const key = random.value
        atEndOfStep(random, () => random.assign(random.value.add(tensor(Int32Array.of(0, 1)))))
        return key
      },
    }
  }
  const built = net.build(scope(''), options.input)
  return makeModel(net, options.input, built.output, built.apply, parameters, states, random, mode)
}

function makeModel(
  net: Layer,
  inputShape: Shape,
  outputShape: Shape,
  apply: (x: Tensor) => Tensor,
  parameters: readonly Parameter[],
  states: readonly State[],
  random: State,
  mode: { training: boolean },
): Model {
  const all = [...parameters, ...states]
  const byPath = new Map<string, State>(all.map((state) => [state.name, state]))
  const call = (x: Tensor): Tensor => {
    if (!sameShape(x.shape.slice(1), inputShape)) {
      throw new ShapeError({
        where: 'model',
        what: 'the batch does not hold samples of the shape the model was made for',
        got: `input ${showShape(x.shape)}`,
        expected: `[batch, ${inputShape.join(', ')}]`,
        fix:
          x.shape.length === inputShape.length
            ? 'add a batch axis of 1 in front'
            : 'reshape the samples, or init the model for them',
      })
    }
    return apply(x.dtype === 'u8' ? model.normalize(x) : x)
  }
  const model: Model = Object.assign(call, {
    net,
    inputShape,
    outputShape,
    parameters,
    states,
    random,
    pictures: undefined as PictureNormalization | undefined,
    normalize(x: Tensor): Tensor {
      // Bytes are pictures: 0 … 255 becomes 0 … 1.
      const unit = x.dtype === 'u8' ? x.cast('f32').mul(1 / 255) : x
      // By value: an equal object is the same program.
      guarded(() => JSON.stringify(model.pictures))
      const { pictures } = model
      if (pictures === undefined) return unit
      const channels = inputShape[inputShape.length - 1] ?? 1
      const std = perChannel(pictures.std, channels, 'std')
      const mean = perChannel(pictures.mean, channels, 'mean')
      // One multiplication and one addition.
      const scale = tensor(std.map((value) => 1 / value))
      return unit.mul(scale).add(tensor(mean.map((value, i) => -value / std[i])))
    },
    parameterCount: parameters.reduce((sum, p) => sum + p.size, 0),
    training: true,
    train: (on = true) => {
      mode.training = on
      return model
    },
    eval: () => model.train(false),
    get(path: string) {
      const state = byPath.get(path)
      if (state === undefined)
        throw new RangeError(`the model has no parameter "${path}"; it has ${[...byPath.keys()].join(', ')}`)
      return state
    },
    async save() {
      const values = new Map<string, { shape: Shape; data: TypedArray }>()
      for (const state of all) values.set(state.name, { shape: state.shape, data: await state.data() })
      return values
    },
    async load(values: ReadonlyMap<string, { readonly shape: Shape; readonly data: TypedArray }>, source = 'weights') {
      checkFit(byPath, values, source)
      for (const state of all) await state.load((values.get(state.name) as { data: TypedArray }).data)
    },
  })
  Object.defineProperty(model, 'training', { get: () => mode.training, enumerable: true })
  return model
}

function perChannel(values: number | readonly number[], channels: number, name: 'mean' | 'std'): number[] {
  const each = typeof values === 'number' ? new Array<number>(channels).fill(values) : [...values]
  const least = name === 'std' ? Number.MIN_VALUE : Number.NEGATIVE_INFINITY
  if (each.length === channels && each.every((value) => Number.isFinite(value) && value >= least)) return each
  throw new ConfigError({
    where: `model.pictures.${name}`,
    what: 'this does not fit the pictures that the model takes',
    got: each.join(', '),
    expected: `one number, or ${channels}: one a channel${name === 'std' ? ', all above 0' : ''}`,
    fix: 'correct what pictures are normalised with',
  })
}

function checkFit(
  byPath: ReadonlyMap<string, State>,
  values: ReadonlyMap<string, { readonly shape: Shape }>,
  source: string,
): void {
  const missing = [...byPath.keys()].filter((path) => !values.has(path))
  const unexpected = [...values.keys()].filter((path) => !byPath.has(path))
  const misshapen = [...values].filter(
    ([path, { shape }]) => byPath.has(path) && !sameShape(shape, (byPath.get(path) as State).shape),
  )
  if (missing.length + unexpected.length + misshapen.length === 0) return
  const list = (paths: readonly string[]) =>
    paths.length > 4 ? `${paths.slice(0, 4).join(', ')} and ${paths.length - 4} more` : paths.join(', ')
  const parts: string[] = []
  if (missing.length > 0) parts.push(`missing ${list(missing)}`)
  if (unexpected.length > 0) parts.push(`unexpected ${list(unexpected)}`)
  if (misshapen.length > 0) {
    parts.push(
      `of another shape ${list(misshapen.map(([path, { shape }]) => `${path} ${showShape(shape)} instead of ${showShape((byPath.get(path) as State).shape)}`))}`,
    )
  }
  throw new FormatError({
    where: source,
    what: 'the weights are not those of this model',
    got: parts.join('; '),
    expected: `${byPath.size} tensors named and shaped as in the model`,
    fix: 'load them into the model they were saved from',
  })
}

export interface Description {
  /** The net with all that is inside, as a tree. */
  readonly root: LayerReport
  /** The layers that hold no others, in order. */
  readonly reports: readonly LayerReport[]
  /** Shape of what comes out, without the batch. */
  readonly output: Shape
}

/** A scope whose parameters have shapes and no values: to look at a net. */
export function dryScope(
  path: string,
  trainable: (path: string) => boolean = () => true,
  observe?: Scope['observe'],
  claim: (path: string) => void = () => {},
): Scope {
  const empty = new Float32Array(0)
  const at = (name: string) => (path === '' ? name : `${path}.${name}`)
  return {
    path,
    stream: 0,
    child: (name) => dryScope(at(name), trainable, observe, claim),
    training: () => false,
    parameter(name, shape) {
      claim(at(name))
      const parameter = new Parameter(at(name), shape, empty)
      parameter.trainable = trainable(at(name))
      return parameter
    },
    state(name, shape) {
      claim(at(name))
      return new State(at(name), shape, empty)
    },
    randomKey: () => tensor(Int32Array.of(0, 0)),
    ...(observe === undefined ? {} : { observe }),
  }
}

/**
 * What every layer is and costs, without making any parameter.
 * @param options trainable: whether the parameter at a path is trained; default: all are
 * @throws ShapeError when some layer can't take what arrives at it
 * @throws ConfigError when two parameters have one path
 */
export function describe(
  net: Layer,
  input: Shape,
  options: { readonly trainable?: (path: string) => boolean } = {},
): Description {
  const found: LayerReport[] = []
  const scope = dryScope('', options.trainable, (report) => found.push(report), claiming())
  const { output } = buildReported(scope, net, input)
  const [root] = found
  const leaves = (report: LayerReport): readonly LayerReport[] => report.layers?.flatMap(leaves) ?? [report]
  return { root, reports: leaves(root), output }
}
