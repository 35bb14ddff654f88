/** Depthwise convolutions: one group a channel, by the window kernels. */
import type { BuildContext, Epilogue, Span } from '../../graph/algorithm.ts'
import type { Node } from '../../graph/node.ts'
import type { Algorithm } from '../../graph/op.ts'
import { foldCall, foldSpec, plainStore } from '../../kernel/builders/contraction/index.ts'
import {
  type DepthwiseArguments,
  depthwiseCall,
  depthwiseShape,
  depthwiseSpec,
} from '../../kernel/builders/window/depthwise.ts'
import {
  depthwisePieces,
  depthwiseWeightsCall,
  depthwiseWeightsSpec,
} from '../../kernel/builders/window/depthwise-weights.ts'
import { epilogueShape, epilogueSpans } from '../contraction-calls.ts'
import { forwardGeometry, inputGradientPhases, isDepthwise, multiplyAdds, type Planar } from './geometry.ts'

const tolerance = 2e-6

function emitDepthwise(
  context: BuildContext,
  g: DepthwiseArguments,
  multiplied: 'spread' | 'fold',
  x: Span,
  weights: Span,
  epilogue: Epilogue,
): void {
  const elements = { x: x.buffer.dtype, weights: weights.buffer.dtype }
  const shape = depthwiseShape(g, multiplied, epilogueShape(epilogue), elements)
  const call = depthwiseCall(shape, g)
  const params = [...call.params, ...epilogue.constants]
  context.call({ spec: depthwiseSpec(shape), spans: [x, weights, ...epilogueSpans(epilogue)], ...call, params })
}

export function depthwiseForward<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'depthwise',
    applies: (node) => isDepthwise(shapes(node)),
    cost: (node) => multiplyAdds(shapes(node)),
    tolerance,
    bf16: () => 'free',
    fusesEpilogue: true,
    build(node, [x, weight], epilogue, context) {
      const p = shapes(node)
      const channels = p.groups * p.groupOut
      const weights = { first: 0, row: p.kernel[1] * channels, tap: channels }
      const g = { ...forwardGeometry(p), channels: p.groups, multiplier: p.groupOut, weights }
      emitDepthwise(context, g, 'spread', x.span, weight.span, epilogue)
    },
  }
}

export function depthwiseInputGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'depthwise',
    applies: (node) => isDepthwise(shapes(node)),
    cost: (node) => multiplyAdds(shapes(node)),
    tolerance,
    bf16: () => 'free',
    fusesEpilogue: true,
    build(node, [upstream, weight], epilogue, context) {
      const p = shapes(node)
      const channels = p.groups * p.groupOut
      const row = p.kernel[1] * channels
      for (const { geometry, last, step } of inputGradientPhases(p)) {
        // The flipped kernel: from its last tap backwards.
        const weights = { first: last[0] * row + last[1] * channels, row: -step[0] * row, tap: -step[1] * channels }
        const g = { ...geometry, channels: p.groups, multiplier: p.groupOut, weights }
        emitDepthwise(context, g, 'fold', upstream.span, weight.span, epilogue)
      }
    },
  }
}

export function depthwiseWeightGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A> {
  return {
    name: 'depthwise',
    applies: (node) => isDepthwise(shapes(node)),
    cost: (node) => multiplyAdds(shapes(node)),
    tolerance,
    bf16: () => 'f32',
    build(node, [x, upstream], epilogue, context) {
      const p = shapes(node)
      const g = { ...forwardGeometry(p), channels: p.groups, multiplier: p.groupOut }
      const pieces = depthwisePieces(g, context.target)
      const rows = p.kernel[0] * p.kernel[1]
      const columns = p.groups * p.groupOut
      const [output] = epilogue.outputs
      const partial = pieces === 1 ? output : context.temporary('f32', pieces * rows * columns)
      const elements = { x: x.span.buffer.dtype, upstream: upstream.span.buffer.dtype }
      const spans = [x.span, upstream.span, partial]
      context.call({ spec: depthwiseWeightsSpec(g, elements), spans, ...depthwiseWeightsCall(g, context.target) })
      if (pieces === 1) return
      context.call({ spec: foldSpec(plainStore), spans: [partial, output], ...foldCall({ pieces, rows, columns }) })
    },
  }
}
