/** Convolutions as contractions: 1×1 as a matrix product, all others through padded strips. */
import type { BuildContext, Epilogue, KernelInput, Span } from '../../graph/algorithm.ts'
import type { Node } from '../../graph/node.ts'
import type { Algorithm } from '../../graph/op.ts'
import {
  type ConvGeometry,
  columnsOf,
  convCall,
  convSpec,
  foldCall,
  foldSpec,
  gradientTile,
  needsBorder,
  packsUpstream,
  padCall,
  padSpec,
  plainStore,
  scatterCall,
  scatterShape,
  scatterSpec,
  scatterTile,
  tapsApart,
  weightGradientCall,
  weightGradientPieces,
  weightGradientSpec,
  wideTile,
} from '../../kernel/builders/contraction/index.ts'
import type { Target } from '../../kernel/target.ts'
import { emitPack, emitProduct, epilogueShape, epilogueSpans } from '../contraction-calls.ts'
import { forwardGeometry, inputGradientPhases, isPointwise, multiplyAdds, type Planar } from './geometry.ts'

/** Sums of a few thousand products in single precision. */
const tolerance = 5e-6

function emitConv(context: BuildContext, g: ConvGeometry, x: Span, weights: Span, epilogue: Epilogue): void {
  const shape = { padded: needsBorder(g), epilogue: epilogueShape(epilogue) }
  const call = convCall(shape, g, context.target)
  const params = [...call.params, ...epilogue.constants]
  context.call({ spec: convSpec(shape), spans: [x, weights, ...epilogueSpans(epilogue)], ...call, params })
}

/** Elements of a [...kernel, groupIn, outChannels] weight from tap row to tap row, tap to tap, channel to channel. */
function weightStrides(p: Planar): [number, number, number] {
  const channel = p.groups * p.groupOut
  return [p.kernel[1] * p.groupIn * channel, p.groupIn * channel, channel]
}

/** Columns that are computed: the last vector may be mostly empty. */
function columnCost(channels: number, target: Target): number {
  return Math.ceil(channels / target.lanes) * target.lanes
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
        return (2 * multiplyAdds(p) * columnCost(p.groupOut, target)) / p.groupOut
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

/** What an addition into a row costs, in multiply-adds of the same width: it waits for the one before. */
const additionCost = 12

export function inputGradientAlgorithms<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return [
    {
      name: 'scatter',
      applies: (node) => {
        const { groups, dilation, before } = shapes(node)
        return groups === 1 && dilation[1] === 1 && before[0] >= 0 && before[1] >= 0
      },
      cost: (node, target) => {
        const p = shapes(node)
        const { vectors } = scatterShape(forwardGeometry(p), target)
        const rows = p.images * p.outSize[0] * p.outSize[1] * p.kernel[0]
        return 2 * rows * vectors * target.lanes * (p.groupOut + additionCost)
      },
      tolerance,
      build(node, [upstream, weight], epilogue, context) {
        const { target } = context
        const p = shapes(node)
        const g = forwardGeometry(p)
        const shape = scatterShape(g, target)
        const row = p.kernel[1] * p.groupIn
        const weights = emitPack(context, weight.span, columnsOf(scatterTile(shape, target), target), {
          groups: p.kernel[0],
          groupStride: row * p.groupOut,
          columns: row,
          columnStride: p.groupOut,
          steps: [1, 1, p.groupOut],
          stepStrides: [0, 0, 1],
          offset: 0,
        })
        const spans = [upstream.span, weights, epilogue.outputs[0]]
        context.call({ spec: scatterSpec(shape), spans, ...scatterCall(shape, g, target) })
      },
    },
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
        return (2 * multiplyAdds(p) * columnCost(p.groupIn, target)) / p.groupIn
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
  const tile = columnsOf(gradientTile(target), target)
  const pixels = p.outSize[0] * p.outSize[1]
  const outChannels = p.groups * p.groupOut
  const right = !packsUpstream(g, target)
    ? upstream.span
    : emitPack(context, upstream.span, tile, {
        groups: p.groups,
        groupStride: p.groupOut,
        columns: p.groupOut,
        columnStride: 1,
        steps: p.outSize[1] >= 16 ? [p.images, ...p.outSize] : [1, p.images, pixels],
        stepStrides: p.outSize[1] >= 16 ? [g.out.image, g.out.row, outChannels] : [0, g.out.image, outChannels],
        offset: 0,
      })
  if (tapsApart(g, target) || !needsBorder(g)) {
    const pieces = weightGradientPieces(g)
    const columns = p.groups * p.groupOut
    const rows = p.kernel[0] * p.kernel[1] * p.groupIn
    // Whether there are pieces depends on the kernel alone, so that the batch size compiles nothing.
    const inPieces = p.groups === 1 && p.kernel[0] === 1 && p.kernel[1] === 1
    const to = inPieces ? context.temporary('f32', pieces * rows * columns) : output
    const call = weightGradientCall(g, target)
    context.call({ spec: weightGradientSpec(), spans: [x.span, right, to], ...call })
    if (!inPieces) return
    context.call({ spec: foldSpec(plainStore), spans: [to, output], ...foldCall({ pieces, rows, columns }) })
    return
  }
  const paddedHeight = (g.outHeight - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
  const paddedWidth = (g.outWidth - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1
  const { images, height, width, before } = g
  const channels = p.groups * p.groupIn
  const input = context.temporary('f32', images * paddedHeight * paddedWidth * channels)
  const pad = padCall({ images, height, width, channels, before, paddedHeight, paddedWidth })
  context.call({ spec: padSpec(), spans: [x.span, input], ...pad })
  const padded = { ...g, height: paddedHeight, width: paddedWidth, before: [0, 0] } as const
  const call = weightGradientCall(padded, target)
  context.call({ spec: weightGradientSpec(), spans: [input, right, output], ...call })
}
