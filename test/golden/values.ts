/**
 * Golden numbers: results of PyTorch in float64, stored as JSON, compared with without PyTorch.
 * Inputs are not stored: a formula gives them, here and in values.py. README.md tells how to write the files anew.
 */
import { readFileSync } from 'node:fs'

// ---------------------------------------------------------------------------------------------- the formula

/** A 32-bit hash of (salt, index): the same integers as `hash32` in values.py. */
function hash32(salt: number, index: number): number {
  let h = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca77)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** How the formula's values in (-1, 1) are turned into an input: `value * scale + offset`, rounded down to a multiple of `step`. */
export interface GoldenRange {
  readonly scale?: number
  readonly offset?: number
  /** A power of two; coarse values tie. */
  readonly step?: number
}

/** The formula: `size` numbers in (-1, 1), never 0, exact in float32; or what `range` makes of them, rounded to float32. */
export function goldenValues(salt: number, size: number, range: GoldenRange = {}): Float32Array {
  const { scale = 1, offset = 0, step } = range
  const values = new Float32Array(size)
  for (let i = 0; i < size; i++) {
    const value = ((2 * (hash32(salt, i) >>> 19) + 1) / 8192 - 1) * scale + offset
    values[i] = step === undefined ? value : Math.floor(value / step) * step
  }
  return values
}

/** `size` integers in 0 … n - 1: labels and indices. */
export function goldenIntegers(salt: number, size: number, n: number): Int32Array {
  return Int32Array.from({ length: size }, (_, i) => hash32(salt, i) % n)
}

/** An input as the JSON describes it: its shape and how the formula fills it. */
export interface FloatSpec extends GoldenRange {
  readonly shape: readonly number[]
  readonly salt: number
}
export interface IntegerSpec {
  readonly shape: readonly number[]
  readonly salt: number
  /** Values are 0 … integers - 1. */
  readonly integers: number
}

/** The numbers that a description means, in row-major order. */
export function goldenInput(spec: FloatSpec): Float32Array
export function goldenInput(spec: IntegerSpec): Int32Array
export function goldenInput(spec: FloatSpec | IntegerSpec): Float32Array | Int32Array
export function goldenInput(spec: FloatSpec | IntegerSpec): Float32Array | Int32Array {
  const size = sizeOf(spec.shape)
  return 'integers' in spec ? goldenIntegers(spec.salt, size, spec.integers) : goldenValues(spec.salt, size, spec)
}

// ---------------------------------------------------------------------------------------------- results

interface GoldenBase {
  readonly shape: readonly number[]
  /** The largest magnitude. */
  readonly max: number
}
/** A result of at most 200 elements. */
export interface GoldenWhole extends GoldenBase {
  readonly values: readonly number[]
}
/** A larger result: its values at `samplePositions(size)` and three sums over all of it. */
export interface GoldenSampled extends GoldenBase {
  readonly samples: readonly number[]
  readonly sum: number
  readonly sumOfSquares: number
  /** Inner product with `goldenValues(0, size)`: notices elements that changed places. */
  readonly dot: number
}
export type Golden = GoldenWhole | GoldenSampled

const SAMPLES = 120

/** Where a large result of `size` elements is sampled: first, last, and hashed positions. */
export function samplePositions(size: number): number[] {
  return [0, size - 1, ...Array.from({ length: SAMPLES - 2 }, (_, i) => hash32(size, i) % size)]
}

/**
 * Largest absolute difference over the golden result's largest magnitude.
 * For a sampled result also what its sums differ by, each over `sqrt(size)` (and the square, for the squares): of the
 * size of one element's error when errors are independent, and far above it when one element is wrong.
 * Infinity when `actual` has another length or holds something that is not a finite number.
 */
export function goldenError(actual: ArrayLike<number>, golden: Golden): number {
  const size = sizeOf(golden.shape)
  if (actual.length !== size) return Infinity
  const max = golden.max || 1
  let error = 0
  if ('values' in golden) {
    golden.values.forEach((expected, i) => {
      error = worse(error, (actual[i] - expected) / max)
    })
    return error
  }
  const positions = samplePositions(size)
  golden.samples.forEach((expected, i) => {
    error = worse(error, (actual[positions[i]] - expected) / max)
  })
  const weights = goldenValues(0, size)
  let sum = 0
  let sumOfSquares = 0
  let dot = 0
  for (let i = 0; i < size; i++) {
    sum += actual[i]
    sumOfSquares += actual[i] * actual[i]
    dot += actual[i] * weights[i]
  }
  const unit = max * Math.sqrt(size)
  error = worse(error, (sum - golden.sum) / unit)
  error = worse(error, (sumOfSquares - golden.sumOfSquares) / (2 * max * unit))
  return worse(error, (dot - golden.dot) / unit)
}

function worse(error: number, difference: number): number {
  const magnitude = Math.abs(difference)
  return magnitude <= error ? error : Number.isFinite(magnitude) ? magnitude : Infinity
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1)
}

function load<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as T
}

// ---------------------------------------------------------------------------------------------- conv.golden.json

/** Options of `conv1d` and `conv2d`; the ones left out have their defaults (stride 1, dilation 1, groups 1, 'valid'). */
export interface ConvOptions {
  readonly stride?: number | [number, number]
  readonly dilation?: number | [number, number]
  readonly groups?: number
  /** Per side: `[[top, bottom], [left, right]]`, or `[[left, right]]` in 1-D. */
  readonly padding?: 'valid' | 'same' | 'full' | number | [number, number][]
}

export interface ConvCase {
  readonly name: string
  readonly salt: number
  /** `[N, H, W, C]` or `[N, L, C]`. */
  readonly x: readonly number[]
  /** `[kh, kw, inChannels / groups, outChannels]` or `[k, inChannels / groups, outChannels]`. */
  readonly weight: readonly number[]
  /** Whether there is a bias (its length is the last of `weight`). */
  readonly bias: boolean
  readonly options: ConvOptions
  readonly y: Golden
  readonly dx: Golden
  readonly dw: Golden
  readonly db?: Golden
}

export function loadConvCases(): ConvCase[] {
  return load('conv.golden.json')
}

/** The numbers that a case runs on; `upstream` is the gradient of `y`, and `bias` is there when the case has one. */
export function convInputs(c: ConvCase): {
  x: Float32Array
  weight: Float32Array
  bias: Float32Array | undefined
  upstream: Float32Array
} {
  return {
    x: goldenValues(c.salt, sizeOf(c.x)),
    weight: goldenValues(c.salt + 1, sizeOf(c.weight)),
    bias: c.bias ? goldenValues(c.salt + 2, c.weight[c.weight.length - 1]) : undefined,
    upstream: goldenValues(c.salt + 3, sizeOf(c.y.shape)),
  }
}

// ---------------------------------------------------------------------------------------------- ops.golden.json

/** Options as the ops take them; conventions stand in ops.py, above the cases of each op. */
export interface OpOptions {
  readonly kernelSize?: number | [number, number]
  readonly stride?: number | [number, number]
  readonly padding?: 'same' | number | [number, number][]
  /** Left out: true. */
  readonly countIncludePad?: boolean
  readonly training?: boolean
  /** Left out: 1e-5. */
  readonly epsilon?: number
  /** Left out: 0.1. */
  readonly momentum?: number
  readonly groups?: number
  readonly axis?: number
  readonly labelSmoothing?: number
  /** Of the leaky ReLU; left out: 0.01. */
  readonly slope?: number
  /** Of the ELU; left out: 1. */
  readonly alpha?: number
}

export type OpName =
  | ('matmul' | 'maxPool' | 'avgPool' | 'batchNorm' | 'layerNorm' | 'groupNorm' | 'crossEntropy' | 'embedding')
  | ('softmax' | 'logSoftmax' | 'logsumexp' | UnaryName)
/** Ops of one input, `x`. */
export type UnaryName =
  | ('relu' | 'leakyRelu' | 'elu' | 'silu' | 'gelu' | 'geluTanh' | 'erf' | 'softplus' | 'hardSwish' | 'hardSigmoid')
  | ('sigmoid' | 'tanh' | 'exp' | 'log' | 'sqrt')

export interface OpCase {
  readonly name: string
  readonly op: OpName
  /** By name: `x`, `a`, `b`, `weight`, `bias`, `mean`, `variance`, `logits`, `labels`, `classWeights`, `table`, `indices`. */
  readonly inputs: Readonly<Record<string, FloatSpec | IntegerSpec>>
  readonly options: OpOptions
  /** The gradient of `y`; left out when `y` is a scalar, whose gradient is 1. */
  readonly upstream?: FloatSpec
  /** `y`; for batch norm in training also `runningMean` and `runningVariance`, after the step. */
  readonly outputs: Readonly<Record<string, Golden>>
  /** By input name. */
  readonly gradients: Readonly<Record<string, Golden>>
}

/** All cases, or those of some ops. */
export function loadOpCases(...ops: OpName[]): OpCase[] {
  const cases = load<OpCase[]>('ops.golden.json')
  return ops.length === 0 ? cases : cases.filter((c) => ops.includes(c.op))
}

// ---------------------------------------------------------------------------------------------- training.golden.json

export interface OptimizerOptions {
  readonly learningRate: number
  readonly weightDecay?: number
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
}

export interface OptimizerCase {
  readonly name: string
  readonly optimizer: 'sgd' | 'adam' | 'adamw'
  readonly options: OptimizerOptions
  readonly parameter: FloatSpec
  /** Of step 0; step t (from 0) has salt + t: `stepInput(gradient, t)`. */
  readonly gradient: FloatSpec
  /** The parameter after each step. */
  readonly steps: readonly (readonly number[])[]
}

/** A training run; the layers of both networks are described at the top of training.py. */
export interface NetworkCase {
  readonly name: 'simpleCnn' | 'residual'
  /** In the order in which the layers create them, in juanji's layouts. */
  readonly parameters: readonly (FloatSpec & { readonly name: string })[]
  /** Step t (from 0) trains on `stepInput(images, t % count)` and `stepInput(labels, t % count)`. */
  readonly batches: { readonly count: number; readonly images: FloatSpec; readonly labels: IntegerSpec }
  readonly optimizer: OptimizerOptions & { readonly name: 'sgd' | 'adam' }
  /** Mean cross-entropy that each step saw, before its update. */
  readonly losses: readonly number[]
  /** Of the first step, in training mode. */
  readonly logits: Golden
  /** Of the first step, by parameter. */
  readonly gradients: Readonly<Record<string, Golden>>
  /** The parameters after the last step. */
  readonly after: Readonly<Record<string, Golden>>
  /** Running statistics after the last step, as `block1.norm1.mean` and `block1.norm1.variance`. */
  readonly running: Readonly<Record<string, Golden>>
  /** Logits of batch 0 in evaluation mode, after the last step. */
  readonly evaluation: Golden
  /** What PyTorch's own float32 differs by: relative, of each step's loss and of each parameter after the last. */
  readonly float32: { readonly losses: readonly number[]; readonly after: Readonly<Record<string, number>> }
}

export function loadTraining(): { optimizers: OptimizerCase[]; networks: NetworkCase[] } {
  return load('training.golden.json')
}

// ---------------------------------------------------------------------------------------------- models.golden.json

/** A published network. */
export interface PublishedNetwork {
  readonly parameters: number
  /** The tensor at place i is filled with salt + i: `publishedValues`. */
  readonly salt: number
  readonly input: FloatSpec
  /** In evaluation mode. */
  readonly logits: Golden
  /** Entries of the state_dict in its order, shapes in PyTorch's layout. */
  readonly tensors: readonly (readonly [name: string, shape: readonly number[]])[]
  /** Numbers of parameters by width multiplier. */
  readonly widths?: Readonly<Record<string, number>>
}

/** Those with `B` have projections. */
export type PublishedName =
  | (
      | 'resnet18'
      | 'resnet34'
      | 'resnet50'
      | 'squeezeNet'
      | 'mobileNetV1'
      | 'mobileNetV2'
      | 'darknetTiny'
      | 'mlperfResnet8'
    )
  | ('resnet20' | 'resnet32' | 'resnet44' | 'resnet56' | 'resnet110' | 'resnet20B' | 'resnet56B')

export function loadPublished(): Record<PublishedName, PublishedNetwork> {
  return load('models.golden.json')
}

/** A shape of PyTorch's in our layout: [out, in / groups, ...kernel] to [...kernel, in / groups, out]. */
export function turnedShape([out, ...rest]: readonly number[]): number[] {
  return rest.length === 0 ? [out] : [...rest.slice(1), rest[0], out]
}

/** What the tensor at a place of `tensors` holds, in our layout; models.py has the rule. */
export function publishedValues({ salt, tensors }: PublishedNetwork, place: number): Float32Array {
  const [name, shape] = tensors[place]
  const turned = turnedShape(shape)
  const spec = { shape: turned, salt: salt + place }
  if (turned.length > 1) return goldenInput({ ...spec, scale: Math.sqrt(6 / sizeOf(turned.slice(0, -1))) })
  return goldenInput(/(weight|running_var)$/.test(name) ? { ...spec, scale: 0.25, offset: 1 } : { ...spec, scale: 0.1 })
}

// ---------------------------------------------------------------------------------------------- curves.golden.json

/** 200 steps of a network by name; the layers are described at the top of curves.py. */
export interface CurveCase extends Pick<NetworkCase, 'parameters' | 'batches' | 'losses'> {
  readonly name: 'simpleCnn' | 'resnet8' | 'resnet20'
  readonly optimizer: OptimizerOptions & { readonly name: 'sgd' }
  /** What PyTorch's own float32 differs by: within the first ten losses, and in the mean of the last twenty (relative). */
  readonly float32: { readonly first: number; readonly last: number }
}

export function loadCurves(): CurveCase[] {
  return load('curves.golden.json')
}

/** The input of step t: the same description with salt + t. */
export function stepInput(spec: FloatSpec, t: number): Float32Array
export function stepInput(spec: IntegerSpec, t: number): Int32Array
export function stepInput(spec: FloatSpec | IntegerSpec, t: number): Float32Array | Int32Array {
  return goldenInput({ ...spec, salt: spec.salt + t })
}

// ---------------------------------------------------------------------------------------------- resize.golden.json

/** A picture that Pillow resized: `[height, width, channels]` in `image.shape`, the result's shape in `to`. */
export interface ResizeCase {
  readonly name: string
  /** `sample`: the middle in the result's proportions, in the result's channels. */
  readonly kind: 'resize' | 'sample'
  readonly image: IntegerSpec
  readonly to: readonly number[]
  readonly filter?: 'bilinear' | 'bicubic'
  /** Left, top, right, bottom. */
  readonly box?: readonly [number, number, number, number]
  readonly pixels: readonly number[]
}

export function loadResizeCases(): ResizeCase[] {
  return load('resize.golden.json')
}

// ---------------------------------------------------------------------------------------------- weights.golden.json

/** A state dict as PyTorch writes it, shapes and order of values as there, and what the network makes of an input. */
export interface WeightsCase {
  readonly name: 'classifier' | 'decoder' | 'sequence' | 'branches'
  readonly input: FloatSpec
  readonly tensors: readonly (FloatSpec & { readonly name: string })[]
  readonly output: Golden
}

export function loadWeightsCases(): WeightsCase[] {
  return load('./weights.golden.json')
}
