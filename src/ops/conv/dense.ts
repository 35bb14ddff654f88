/** Convolutions as contractions: 1×1 as a matrix product, all others through padded strips. */
import type { BuildContext, Epilogue, KernelInput, Span } from '../../graph/algorithm.ts'
import type { Node } from '../../graph/node.ts'
import type { Algorithm } from '../../graph/op.ts'
import {
  type ConvGeometry,
  columnsOf,
  convCall,
  convSpec,
  gradientTile,
  needsBorder,
  padCall,
  padSpec,
  weightGradientCall,
  weightGradientSpec,
  wideTile,
} from '../../kernel/builders/contraction/index.ts'
import type { Target } from '../../kernel/target.ts'
import { emitPack, emitProduct, epilogueShape, epilogueSpans } from '../contraction-calls.ts'
import { streamed } from './cost.ts'
import {
  forwardGeometry,
  inputGradientPhases,
  isPointwise,
  multiplyAdds,
  type Planar,
  weightStrides,
} from './geometry.ts'

/** Sums of a few thousand products in single precision. */
const tolerance = 5e-6

function emitConv(context: BuildContext, g: ConvGeometry, x: Span, weights: Span, epilogue: Epilogue): void {
  const shape = { padded: needsBorder(g), epilogue: epilogueShape(epilogue) }
  const call = convCall(shape, g, context.target)
  const params = [...call.params, ...epilogue.constants]
  context.call({ spec: convSpec(shape), spans: [x, weights, ...epilogueSpans(epilogue)], ...call, params })
}

/** Columns that are computed: the last vector may be mostly empty. */
function columnCost(channels: number, target: Target): number {
  return Math.ceil(channels / target.lanes) * target.lanes
}

/** Weights are packed anew at every run. */
function packCost(p: Planar, target: Target): number {
  return streamed(8 * p.kernel[0] * p.kernel[1] * p.groupIn * p.groupOut * p.groups, target)
}

export function forwardAlgorithms<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return [
    {
      name: 'pointwise',
      applies: (node) => isPointwise(shapes(node)),
      cost: (node) => 1.9 * multiplyAdds(shapes(node)),
      tolerance,
      fusesEpilogue: true,
      build(node, [x, weight], epilogue, context) {
        const p = shapes(node)
        const m = p.images * p.size[0] * p.size[1]
        const product = { batch: 1, m, n: p.groupOut, k: p.groupIn, a: x.span, b: weight.span }
        emitProduct(context, { ...product, aStrides: [0, p.groupIn, 1], bStrides: [0, p.groupOut, 1] }, epilogue)
      },
    },
    {
      name: 'direct',
      applies: () => true,
      cost: (node, target) => {
        const p = shapes(node)
        return (2 * multiplyAdds(p) * columnCost(p.groupOut, target)) / p.groupOut + packCost(p, target)
      },
      tolerance,
      fusesEpilogue: true,
      build(node, [x, weight], epilogue, context) {
        const p = shapes(node)
        const [row, tap, channel] = weightStrides(p)
        const weights = emitPack(context, weight.span, columnsOf(wideTile(context.target), context.target), {
          groups: p.groups,
          groupStride: p.groupOut,
          columns: p.groupOut,
          columnStride: 1,
          steps: [p.kernel[0], p.kernel[1], p.groupIn],
          stepStrides: [row, tap, channel],
          offset: 0,
        })
        emitConv(context, forwardGeometry(p), x.span, weights, epilogue)
      },
    },
  ]
}

export function inputGradientAlgorithms<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return [
    {
      name: 'pointwise',
      applies: (node) => isPointwise(shapes(node)),
      cost: (node) => 1.9 * multiplyAdds(shapes(node)),
      tolerance,
      fusesEpilogue: true,
      build(node, [upstream, weight], epilogue, context) {
        const p = shapes(node)
        const m = p.images * p.size[0] * p.size[1]
        const product = { batch: 1, m, n: p.groupIn, k: p.groupOut, a: upstream.span, b: weight.span }
        emitProduct(context, { ...product, aStrides: [0, p.groupOut, 1], bStrides: [0, 1, p.groupOut] }, epilogue)
      },
    },
    {
      name: 'direct',
      applies: () => true,
      cost: (node, target) => {
        const p = shapes(node)
        return (2 * multiplyAdds(p) * columnCost(p.groupIn, target)) / p.groupIn + packCost(p, target)
      },
      tolerance,
      fusesEpilogue: true,
      build(node, [upstream, weight], epilogue, context) {
        const p = shapes(node)
        const [row, tap, channel] = weightStrides(p)
        for (const { geometry, last, step } of inputGradientPhases(p)) {
          const weights = emitPack(context, weight.span, columnsOf(wideTile(context.target), context.target), {
            groups: p.groups,
            groupStride: p.groupOut,
            columns: p.groupIn,
            columnStride: channel,
            steps: [geometry.kernel[0], geometry.kernel[1], p.groupOut],
            stepStrides: [-step[0] * row, -step[1] * tap, 1],
            offset: last[0] * row + last[1] * tap,
          })
          emitConv(context, geometry, upstream.span, weights, epilogue)
        }
      },
    },
  ]
}

export function weightGradientAlgorithms<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return [
    {
      name: 'direct',
      applies: () => true,
      cost: (node, target) => {
        const p = shapes(node)
        return (2 * multiplyAdds(p) * columnCost(p.groupOut, target)) / p.groupOut
      },
      tolerance,
      build: (node, [x, upstream], epilogue, context) =>
        buildWeightGradient(shapes(node), x, upstream, epilogue.outputs[0], context),
    },
  ]
}

function buildWeightGradient(
  p: Planar,
  x: KernelInput,
  upstream: KernelInput,
  output: Span,
  context: BuildContext,
): void {
  const { target } = context
  const g = forwardGeometry(p)
  const outChannels = p.groups * p.groupOut
  const channels = p.groups * p.groupIn
  const wideRows = p.outSize[1] >= 16
  const packed = emitPack(context, upstream.span, columnsOf(gradientTile(target), target), {
    groups: p.groups,
    groupStride: p.groupOut,
    columns: p.groupOut,
    columnStride: 1,
    steps: wideRows ? [p.images, p.outSize[0], p.outSize[1]] : [1, p.images, p.outSize[0] * p.outSize[1]],
    stepStrides: wideRows ? [g.out.image, g.out.row, outChannels] : [0, g.out.image, outChannels],
    offset: 0,
  })
  let input = x.span
  let layout = {
    first: -(g.before[0] * g.width + g.before[1]) * channels,
    image: g.height * g.width * channels,
    row: g.width * channels,
  }
  if (needsBorder(g)) {
    const paddedHeight = (g.outHeight - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
    const paddedWidth = (g.outWidth - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1
    const { images, height, width, before } = g
    input = context.temporary('f32', images * paddedHeight * paddedWidth * channels)
    const pad = padCall({ images, height, width, channels, before, paddedHeight, paddedWidth })
    context.call({ spec: padSpec(), spans: [x.span, input], ...pad })
    layout = { first: 0, image: paddedHeight * paddedWidth * channels, row: paddedWidth * channels }
  }
  const call = weightGradientCall(g, layout, target)
  context.call({ spec: weightGradientSpec(), spans: [input, packed, output], ...call })
}
