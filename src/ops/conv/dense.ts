/** Convolutions as contractions: 1×1 as a matrix product, all others through padded strips. */
import type { Precision } from '../../base/dtype.ts'
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
  type OperandForm,
  packsUpstream,
  padCall,
  padSpec,
  pairImagesCall,
  pairImagesSpec,
  plainStore,
  scatterCall,
  scatterShape,
  scatterSpec,
  scatterTile,
  scatterVectors,
  tapsApart,
  weightGradientCall,
  weightGradientPieces,
  weightGradientSpec,
  wideTile,
} from '../../kernel/builders/contraction/index.ts'
import type { Target } from '../../kernel/target.ts'
import { emitPack, emitProduct, epilogueShape, epilogueSpans, formOf } from '../contraction-calls.ts'
import { columnsComputed, streamed } from './cost.ts'
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

function emitConv(
  context: BuildContext,
  g: ConvGeometry,
  x: Span,
  weights: Span,
  epilogue: Epilogue,
  form: OperandForm,
): void {
  // A phase of a stride may have no taps: then nothing is read.
  const widens = form === 'bf16' && g.kernel[0] * g.kernel[1] > 0
  const shape = { form, padded: needsBorder(g) || widens, epilogue: epilogueShape(epilogue) }
  const counted = form === 'pairs' ? { ...g, groupIn: g.groupIn / 2 } : g
  const call = convCall(shape, counted, context.target)
  const params = [...call.params, ...epilogue.constants]
  context.call({ spec: convSpec(shape), spans: [x, weights, ...epilogueSpans(epilogue)], ...call, params })
}

/** Operations of a multiply-add: one where two bf16 products are one instruction. */
function productCost(target: Target, precision: Precision, terms: number): number {
  return precision === 'bf16' && target.bf16Dot === true && terms % 2 === 0 ? 1 : 2
}

/** Columns that are computed: the last vector may be mostly empty. */
function columnCost(channels: number, target: Target): number {
  return Math.ceil(channels / target.lanes) * target.lanes
}

/** Packed weights are written and read, or read alone where they are kept. */
function packCost(p: Planar, target: Target, kept: boolean): number {
  return streamed((kept ? 4 : 8) * p.kernel[0] * p.kernel[1] * p.groupIn * p.groupOut * p.groups, target)
}

export function forwardAlgorithms<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return [
    {
      name: 'pointwise',
      applies: (node) => isPointwise(shapes(node)),
      cost: (node, target, precision) => {
        const p = shapes(node)
        return 0.95 * productCost(target, precision, p.groupIn) * multiplyAdds(p)
      },
      tolerance,
      bf16: () => 'free',
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
      cost: (node, target, precision, lasts) => {
        const p = shapes(node)
        const products = productCost(target, precision, p.groupIn) * multiplyAdds(p)
        const computed = columnsComputed(p.groupOut, wideTile(target), target) / p.groupOut
        return products * computed + packCost(p, target, lasts?.(node.inputs[1]) === true)
      },
      tolerance,
      bf16: () => 'free',
      fusesEpilogue: true,
      build(node, [x, weight], epilogue, context) {
        const p = shapes(node)
        const [row, tap, channel] = weightStrides(p)
        const form = formOf(context, x.span, p.groupIn % 2 === 0)
        const args = {
          groups: p.groups,
          groupStride: p.groupOut,
          columns: p.groupOut,
          columnStride: 1,
          steps: [p.kernel[0], p.kernel[1], p.groupIn],
          stepStrides: [row, tap, channel],
          offset: 0,
        } as const
        const columns = columnsOf(wideTile(context.target), context.target)
        const weights = emitPack(context, weight.span, columns, args, form)
        emitConv(context, forwardGeometry(p), x.span, weights, epilogue, form)
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
      cost: (node, target, precision) => {
        const p = shapes(node)
        const vectors = scatterVectors(forwardGeometry(p), target)
        const rows = p.images * p.outSize[0] * p.outSize[1] * p.kernel[0]
        const product = productCost(target, precision, p.groupOut)
        return rows * vectors * target.lanes * (product * p.groupOut + 2 * additionCost)
      },
      tolerance,
      bf16: () => 'free',
      build(node, [upstream, weight], epilogue, context) {
        const { target } = context
        const p = shapes(node)
        const g = forwardGeometry(p)
        const form = formOf(context, upstream.span, p.groupOut % 2 === 0)
        const shape = scatterShape(g, target, form, epilogue.outputs[0].buffer.dtype)
        const row = p.kernel[1] * p.groupIn
        const args = {
          groups: p.kernel[0],
          groupStride: row * p.groupOut,
          columns: row,
          columnStride: p.groupOut,
          steps: [1, 1, p.groupOut],
          stepStrides: [0, 0, 1],
          offset: 0,
        } as const
        const weights = emitPack(context, weight.span, columnsOf(scatterTile(shape, target), target), args, form)
        const spans = [upstream.span, weights, epilogue.outputs[0]]
        const counted = form === 'pairs' ? { ...g, groupOut: g.groupOut / 2 } : g
        context.call({ spec: scatterSpec(shape), spans, ...scatterCall(shape, counted, target) })
      },
    },
    {
      name: 'pointwise',
      applies: (node) => isPointwise(shapes(node)),
      cost: (node, target, precision) => {
        const p = shapes(node)
        return 0.95 * productCost(target, precision, p.groupOut) * multiplyAdds(p)
      },
      tolerance,
      bf16: () => 'free',
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
      cost: (node, target, precision, lasts) => {
        const p = shapes(node)
        const products = productCost(target, precision, p.groupOut) * multiplyAdds(p)
        const pack = packCost(p, target, lasts?.(node.inputs[1]) === true)
        return (products * columnCost(p.groupIn, target)) / p.groupIn + pack
      },
      tolerance,
      bf16: () => 'free',
      fusesEpilogue: true,
      build(node, [upstream, weight], epilogue, context) {
        const p = shapes(node)
        const [row, tap, channel] = weightStrides(p)
        const form = formOf(context, upstream.span, p.groupOut % 2 === 0)
        const columns = columnsOf(wideTile(context.target), context.target)
        for (const { geometry, last, step } of inputGradientPhases(p)) {
          const args = {
            groups: p.groups,
            groupStride: p.groupOut,
            columns: p.groupIn,
            columnStride: channel,
            steps: [geometry.kernel[0], geometry.kernel[1], p.groupOut],
            stepStrides: [-step[0] * row, -step[1] * tap, 1],
            offset: last[0] * row + last[1] * tap,
          } as const
          const weights = emitPack(context, weight.span, columns, args, form)
          emitConv(context, geometry, upstream.span, weights, epilogue, form)
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
      cost: (node, target, precision) => {
        const p = shapes(node)
        // Images make the pairs, whatever the channels are.
        const products = productCost(target, precision, 2) * multiplyAdds(p)
        return (products * columnsComputed(p.groupOut, gradientTile(target), target)) / p.groupOut
      },
      tolerance,
      bf16: () => 'f32',
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
  const halves = target.bf16Dot === true && [x, upstream].every(({ span }) => span.buffer.dtype === 'bf16')
  const g = halves ? { ...forwardGeometry(p), images: Math.ceil(p.images / 2) } : forwardGeometry(p)
  const channels = p.groups * p.groupIn
  const outChannels = p.groups * p.groupOut
  const pixels = p.outSize[0] * p.outSize[1]
  const left = halves ? pairImages(context, x.span, p.images, g.height * g.width * channels) : x.span
  const sent = halves ? pairImages(context, upstream.span, p.images, pixels * outChannels) : upstream.span
  const right = !packsUpstream(g, target)
    ? sent
    : emitPack(context, sent, columnsOf(gradientTile(target), target), {
        groups: p.groups,
        groupStride: p.groupOut,
        columns: p.groupOut,
        columnStride: 1,
        steps: p.outSize[1] >= 16 ? [g.images, ...p.outSize] : [1, g.images, pixels],
        stepStrides: p.outSize[1] >= 16 ? [g.out.image, g.out.row, outChannels] : [0, g.out.image, outChannels],
        offset: 0,
      })
  const emit = (input: Span, seen: ConvGeometry, to: Span) => {
    const spec = weightGradientSpec(input.buffer.dtype, right.buffer.dtype)
    context.call({ spec, spans: [input, right, to], ...weightGradientCall(seen, target) })
  }
  if (tapsApart(g, target) || !needsBorder(g)) {
    const pieces = weightGradientPieces(g)
    const rows = p.kernel[0] * p.kernel[1] * p.groupIn
    // Whether there are pieces depends on the kernel alone, so that the batch size compiles nothing.
    const inPieces = p.groups === 1 && p.kernel[0] === 1 && p.kernel[1] === 1
    const to = inPieces ? context.temporary('f32', pieces * rows * outChannels) : output
    emit(left, g, to)
    if (!inPieces) return
    const fold = foldCall({ pieces, rows, columns: outChannels })
    context.call({ spec: foldSpec(plainStore), spans: [to, output], ...fold })
    return
  }
  const paddedHeight = (g.outHeight - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
  const paddedWidth = (g.outWidth - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1
  const { images, height, width, before } = g
  const { dtype } = left.buffer
  const input = context.temporary(dtype, images * paddedHeight * paddedWidth * channels)
  const pad = padCall({ images, height, width, channels, before, paddedHeight, paddedWidth })
  context.call({ spec: padSpec(dtype), spans: [left, input], ...pad })
  emit(input, { ...g, height: paddedHeight, width: paddedWidth, before: [0, 0] }, output)
}

/** The sum over pixels as one of pairs: pixels of neighbouring images, at the same place whatever the window is. */
function pairImages(context: BuildContext, x: Span, images: number, size: number): Span {
  const paired = context.temporary('i32', Math.ceil(images / 2) * size)
  context.call({ spec: pairImagesSpec(), spans: [x, paired], ...pairImagesCall(images, size) })
  return paired
}
