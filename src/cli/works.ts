/** The works that are measured: convolutions of real networks, and training steps of whole ones. */

import type { Precision } from '../base/dtype.ts'
import { Random } from '../base/random.ts'
import { sizeOf } from '../base/shape.ts'
import {
  compile,
  conv2d,
  crossEntropy,
  init,
  models,
  optim,
  type Shape,
  State,
  type Tensor,
  tensor,
  valueAndGrad,
} from '../index.ts'
import { type ConvolutionLayer, paddingOf, parseLayer } from './layer-sets.ts'

/** Figures of one work, times in milliseconds, the best of several runs. */
export interface BenchmarkRow {
  readonly work: string
  /** How often the network has this layer, for works of a set. */
  readonly count?: number
  readonly forward_ms?: number
  readonly forward_backward_ms?: number
  readonly forward_gflops?: number
  readonly forward_backward_gflops?: number
  readonly train_step_ms?: number
  readonly inference_ms?: number
  readonly samples_per_s?: number
}

const dense = (
  batch: number,
  channels: number,
  size: number,
  filters: number,
  kernelSize: number,
  stride: number,
): ConvolutionLayer => {
  return { batch, channels, size, filters, kernelSize, stride, groups: 1 }
}
const depthwise = (batch: number, channels: number, size: number, kernelSize: number): ConvolutionLayer => {
  return { batch, channels, size, filters: channels, kernelSize, stride: 1, groups: channels }
}

const convolutions: Readonly<Record<string, ConvolutionLayer>> = {
  'conv3x3-64@32': dense(32, 64, 32, 64, 3, 1),
  'conv3x3-128@16': dense(32, 128, 16, 128, 3, 1),
  'conv3x3-256@8': dense(32, 256, 8, 256, 3, 1),
  'conv3x3-512@4': dense(32, 512, 4, 512, 3, 1),
  'conv3x3-3to64@32': dense(32, 3, 32, 64, 3, 1),
  'conv3x3-64@56': dense(8, 64, 56, 64, 3, 1),
  'conv1x1-256to64@56': dense(8, 256, 56, 64, 1, 1),
  'conv7x7s2-3to64@224': dense(8, 3, 224, 64, 7, 2),
  'depthwise3x3-128@32': depthwise(32, 128, 32, 3),
  'depthwise7x7-96@56': depthwise(8, 96, 56, 7),
}

interface Network {
  readonly make: models.Architecture
  readonly input: Shape
  readonly batch: number
  readonly optimizer: () => optim.Optimizer
}

const momentum = () => optim.sgd(0.01, { momentum: 0.9 })
const networks: Readonly<Record<string, Network>> = {
  'simple-cnn-28-b64': { make: models.simpleCnn, input: [28, 28, 1], batch: 64, optimizer: () => optim.adam() },
  'resnet20-cifar-b128': { make: models.resnet20, input: [32, 32, 3], batch: 128, optimizer: momentum },
  'resnet18-cifar-b32': { make: models.resnet18, input: [32, 32, 3], batch: 32, optimizer: momentum },
}

export const networkNames: readonly string[] = Object.keys(networks)
export const workNames: readonly string[] = [...Object.keys(convolutions), ...networkNames]

const layerOf = (name: string): ConvolutionLayer | undefined => convolutions[name] ?? parseLayer(name)

/** Whether a name stands for something that can be measured: one of {@link workNames}, or the name of a layer. */
export const isWork = (name: string): boolean => Object.hasOwn(networks, name) || layerOf(name) !== undefined

/** Measures one work on the device that computes. */
export function runWork(name: string, precision: Precision = 'f32'): Promise<BenchmarkRow> {
  if (Object.hasOwn(networks, name)) return networkWork(name, networks[name], precision)
  return convolutionWork(name, layerOf(name) as ConvolutionLayer)
}

/** Best of seven after two warm-ups, in milliseconds. */
async function bestMs(run: () => Promise<unknown>): Promise<number> {
  await run()
  await run()
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 7; i++) {
    const start = performance.now()
    await run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

/** Normal deviates that stay on the device between runs, as a framework's own tensors do. */
function randomState(name: string, shape: Shape, seed: number): State {
  const random = new Random(seed, name)
  return new State(
    name,
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => random.normal()),
  )
}

function emptyState(name: string, shape: Shape): State {
  return new State(name, shape, new Float32Array(sizeOf(shape)))
}

/**
 * Input, weights and upstream gradient are read anew at every run, and the results are stored: nothing is prepared
 * outside the clock.
 */
async function convolutionWork(work: string, c: ConvolutionLayer): Promise<BenchmarkRow> {
  const x = randomState('x', [c.batch, c.size, c.size, c.channels], 1)
  const w = randomState('w', [c.kernelSize, c.kernelSize, c.channels / c.groups, c.filters], 2)
  const options = { stride: c.stride, padding: paddingOf(c.kernelSize), groups: c.groups }
  const extent = Math.floor((c.size + 2 * options.padding - c.kernelSize) / c.stride) + 1
  const outputShape = [c.batch, extent, extent, c.filters]
  const y = emptyState('y', outputShape)
  const upstream = randomState('upstream', outputShape, 3)
  const dx = emptyState('dx', x.shape)
  const dw = emptyState('dw', w.shape)

  const forward = compile(() => {
    y.assign(conv2d(x.value, w.value, options))
    return undefined
  })
  const both = compile(() => {
    const product = (input: Tensor, weight: Tensor): Tensor => {
      const output = conv2d(input, weight, options)
      y.assign(output)
      return output.mul(upstream.value).sum()
    }
    const [, [inputGradient, weightGradient]] = valueAndGrad(product)(x.value, w.value)
    dx.assign(inputGradient)
    dw.assign(weightGradient)
    return undefined
  })
  const forwardMs = await bestMs(forward)
  const bothMs = await bestMs(both)
  const flops = 2 * sizeOf(outputShape) * (c.channels / c.groups) * c.kernelSize ** 2
  return {
    work,
    forward_ms: forwardMs,
    forward_backward_ms: bothMs,
    forward_gflops: flops / forwardMs / 1e6,
    forward_backward_gflops: (3 * flops) / bothMs / 1e6,
  }
}

/** One step of training, and one pass forward. */
async function networkWork(
  work: string,
  { make, input, batch, optimizer }: Network,
  precision: Precision,
): Promise<BenchmarkRow> {
  const classes = 10
  const model = init(make({ classes, input }), { input, seed: 1 })
  const rule = optimizer()
  const random = new Random(1, 'labels')
  const x = randomState('x', [batch, ...input], 1)
  const labels = new State(
    'labels',
    [batch],
    Int32Array.from({ length: batch }, () => random.integer(classes)),
    'i32',
  )
  const logits = emptyState('logits', [batch, classes])
  const step = compile(
    () => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x.value), labels.value))
      rule.update(model.parameters, gradients)
      return loss
    },
    { precision },
  )
  // The batch is an argument: what is made of the weights is kept, as when a model is used.
  const infer = compile(
    (images: Tensor) => {
      logits.assign(model(images))
      return undefined
    },
    { precision },
  )
  model.train()
  const stepMs = await bestMs(step)
  model.eval()
  const images = tensor(await x.data(), x.shape)
  const inferenceMs = await bestMs(() => infer(images))
  return { work, train_step_ms: stepMs, inference_ms: inferenceMs, samples_per_s: (batch / stepMs) * 1e3 }
}
