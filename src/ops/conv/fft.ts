/**
 * Long one-dimensional convolutions by Fourier transforms (overlap-save): blocks of the signal are transformed, every
 * frequency is a small matrix product over channels, and the products are transformed back. The work grows with the
 * logarithm of the taps.
 */
import type { BuildContext, Epilogue, Span } from '../../graph/algorithm.ts'
import type { Node } from '../../graph/node.ts'
import type { Algorithm } from '../../graph/op.ts'
import {
  chunkOf,
  gradientProductsCall,
  gradientProductsSpec,
  planBlocks,
  productsCall,
  productsSpec,
  resultCall,
  resultSpec,
  rootsCall,
  rootsSize,
  rootsSpec,
  type SignalGeometry,
  signalCall,
  signalSpec,
  spectrumLayout,
  sumLayout,
  tapsCall,
  tapsSpec,
  type WeightArguments,
  weightCall,
  weightLayout,
  weightSpec,
} from '../../kernel/builders/fft/index.ts'
import { epilogueShape, epilogueSpans } from '../contraction-calls.ts'
import { fftCost, fftGradientCost, fftGradientLength, fftLength } from './fft-cost.ts'
import { inputGradientPhases, type Planar, weightStrides } from './geometry.ts'

/**
 * Measured 1e-7 to 3e-7, no more than direct sums. But errors are relative to the largest result of a block and of the
 * block it shares a transform with, not to each: small results beside large ones are less exact than by the definition.
 */
const tolerance = 1e-5

/** Below, the definition is as fast, and more exact. */
const fewestTaps = 16
const mostTaps = 2048

function applies(p: Planar): boolean {
  const flat = p.size[0] === 1 && p.outSize[0] === 1 && p.kernel[0] === 1 && p.before[0] === 0
  const plain = p.groups === 1 && p.stride[1] === 1 && p.dilation[1] === 1
  const filled = p.groupIn > 0 && p.groupOut > 0
  return flat && plain && filled && p.kernel[1] >= fewestTaps && p.kernel[1] <= mostTaps
}

function forwardSignal(p: Planar): SignalGeometry {
  return {
    images: p.images,
    length: p.size[1],
    outLength: p.outSize[1],
    channels: p.groupIn,
    outChannels: p.groupOut,
    taps: p.kernel[1],
    before: p.before[1],
  }
}

/** The input gradient is the convolution of the upstream gradient with the flipped, transposed kernel. */
function backwardSignal(p: Planar): SignalGeometry {
  const { geometry } = inputGradientPhases(p)[0]
  return {
    images: p.images,
    length: p.outSize[1],
    outLength: p.size[1],
    channels: p.groupOut,
    outChannels: p.groupIn,
    taps: p.kernel[1],
    before: geometry.before[1],
  }
}

function emitRoots(context: BuildContext, length: number): Span {
  return context.prepared('f32', rootsSize(length), [], (into) => ({
    spec: rootsSpec(length),
    spans: [into],
    ...rootsCall(length),
  }))
}

function emitConvolution(
  context: BuildContext,
  g: SignalGeometry,
  [x, weight]: readonly Span[],
  args: WeightArguments,
  epilogue: Epilogue,
): void {
  const { target } = context
  const { channels, outChannels } = g
  const length = fftLength(g, target) as number
  const plan = planBlocks(length, g)
  const chunk = chunkOf(plan, g, target)
  const roots = emitRoots(context, length)
  const weights = weightLayout(plan, channels, outChannels, target)
  const transformed = context.prepared('f32', weights.size, [weight, roots], (into) => ({
    spec: weightSpec({ length, unit: args.column === 1 }),
    spans: [weight, roots, into],
    ...weightCall(plan, args, weights, target),
  }))
  const spectrum = context.temporary('f32', spectrumLayout(plan, chunk.pairs, channels, target).size)
  const products = context.temporary('f32', spectrumLayout(plan, chunk.pairs, outChannels, target).size)
  const shape = { length, epilogue: epilogueShape(epilogue) }
  for (let i = 0; i < chunk.chunks; i++) {
    const firstPair = i * chunk.pairs
    const pairs = Math.min(chunk.pairs, plan.pairs - firstPair)
    const input = spectrumLayout(plan, pairs, channels, target)
    const output = spectrumLayout(plan, pairs, outChannels, target)
    const blocks = { plan, firstPair, pairs }
    const { before } = g
    const signal = signalCall(
      { ...blocks, length: g.length, channels, before, samples: length, layout: input, order: 'parts' },
      target,
    )
    context.call({ spec: signalSpec(length), spans: [x, roots, spectrum], ...signal })
    const product = productsCall(plan, channels, outChannels, { input, weights, output }, target)
    context.call({ spec: productsSpec, spans: [spectrum, transformed, products], ...product })
    const result = resultCall({ ...blocks, length: g.outLength, channels: outChannels, layout: output }, target)
    const params = [...result.params, ...epilogue.constants]
    const spans = [products, roots, ...epilogueSpans(epilogue)]
    context.call({ spec: resultSpec(shape), spans, ...result, params })
  }
}

export function fftForward<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'fft',
    applies: (node, target) => applies(shapes(node)) && fftLength(forwardSignal(shapes(node)), target) !== undefined,
    cost: (node, target) => fftCost(forwardSignal(shapes(node)), target),
    tolerance,
    fusesEpilogue: true,
    build(node, [x, weight], epilogue, context) {
      const p = shapes(node)
      const [, tap, channel] = weightStrides(p)
      const args = { taps: p.kernel[1], channels: p.groupIn, columns: p.groupOut, tap, channel, column: 1, first: 0 }
      emitConvolution(context, forwardSignal(p), [x.span, weight.span], args, epilogue)
    },
  }
}

export function fftInputGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'fft',
    applies: (node, target) => applies(shapes(node)) && fftLength(backwardSignal(shapes(node)), target) !== undefined,
    cost: (node, target) => fftCost(backwardSignal(shapes(node)), target),
    tolerance,
    fusesEpilogue: true,
    build(node, [upstream, weight], epilogue, context) {
      const p = shapes(node)
      const [, tap, channel] = weightStrides(p)
      const taps = p.kernel[1]
      const first = (taps - 1) * tap
      const args = { taps, channels: p.groupOut, columns: p.groupIn, tap: -tap, channel: 1, column: channel, first }
      emitConvolution(context, backwardSignal(p), [upstream.span, weight.span], args, epilogue)
    },
  }
}

export function fftWeightGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'fft',
    applies: (node, target) =>
      applies(shapes(node)) && fftGradientLength(forwardSignal(shapes(node)), target) !== undefined,
    cost: (node, target) => fftGradientCost(forwardSignal(shapes(node)), target),
    tolerance,
    build(node, [x, upstream], epilogue, context) {
      const { target } = context
      const g = forwardSignal(shapes(node))
      const { channels, outChannels, taps } = g
      const length = fftGradientLength(g, target) as number
      const plan = planBlocks(length, g)
      const chunk = chunkOf(plan, g, target)
      const roots = emitRoots(context, length)
      const v = context.temporary('f32', spectrumLayout(plan, chunk.pairs, channels, target).size)
      const z = context.temporary('f32', spectrumLayout(plan, chunk.pairs, outChannels, target).size)
      const sums = context.temporary('f32', sumLayout(plan, channels, outChannels, target).size)
      for (let i = 0; i < chunk.chunks; i++) {
        const firstPair = i * chunk.pairs
        const pairs = Math.min(chunk.pairs, plan.pairs - firstPair)
        const layouts = {
          input: spectrumLayout(plan, pairs, channels, target),
          upstream: spectrumLayout(plan, pairs, outChannels, target),
        }
        const blocks = { plan, firstPair, pairs }
        const { before } = g
        const left = signalCall(
          { ...blocks, length: g.length, channels, before, samples: length, layout: layouts.input, order: 'parts' },
          target,
        )
        context.call({ spec: signalSpec(length), spans: [x.span, roots, v], ...left })
        const right = signalCall(
          {
            ...blocks,
            length: g.outLength,
            channels: outChannels,
            before: 0,
            samples: plan.step,
            layout: layouts.upstream,
            order: 'vectors',
          },
          target,
        )
        context.call({ spec: signalSpec(length), spans: [upstream.span, roots, z], ...right })
        const product = gradientProductsCall(plan, channels, outChannels, layouts, i, target)
        context.call({ spec: gradientProductsSpec, spans: [v, z, sums], ...product })
      }
      const back = tapsCall(plan, taps, channels, outChannels, target)
      context.call({ spec: tapsSpec(length), spans: [sums, roots, epilogue.outputs[0]], ...back })
    },
  }
}
