/**
 * 3×3 convolutions with stride 1 by Winograd's minimal filtering: F(4×4, 3×3) multiplies a quarter as often as the
 * definition, F(2×2, 3×3) four ninths as often and with weights that are transformed faster.
 */
import type { BuildContext, Epilogue, KernelInput } from '../../graph/algorithm.ts'
import type { Node } from '../../graph/node.ts'
import type { Algorithm } from '../../graph/op.ts'
import type { ConvGeometry } from '../../kernel/builders/contraction/index.ts'
import {
  gradientBlocks,
  gradientProductsCall,
  gradientProductsSpec,
  gradientSizes,
  gradientTilesCall,
  gradientTilesSpec,
  type TileOutputs,
  weightCall,
  weightSpec,
  winogradCall,
  winogradSpec,
} from '../../kernel/builders/winograd/index.ts'
import { epilogueShape, epilogueSpans } from '../contraction-calls.ts'
import { winogradCost, winogradGradientCost } from './cost.ts'
import { forwardGeometry, inputGradientPhases, type Planar, weightStrides } from './geometry.ts'

/**
 * The transforms add and subtract values of one magnitude: a few times the error of direct sums, growing with the tile.
 * Measured: 1 to 5e-6 for F(4×4, 3×3), under 1e-6 for F(2×2, 3×3), 64 to 512 channels.
 */
const tolerances: Readonly<Record<TileOutputs, number>> = { 2: 1e-5, 4: 2e-5 }

const tileSizes: readonly TileOutputs[] = [4, 2]

function applies(p: Planar): boolean {
  const all = ([a, b]: readonly [number, number], value: number) => a === value && b === value
  return p.groups === 1 && all(p.kernel, 3) && all(p.stride, 1) && all(p.dilation, 1)
}

/** Where the weights of a pass lie. */
type WeightArguments = Parameters<typeof weightCall>[1]

function emitWinograd(
  context: BuildContext,
  outputs: TileOutputs,
  g: ConvGeometry,
  [x, weight]: readonly KernelInput[],
  args: WeightArguments,
  epilogue: Epilogue,
): void {
  const { target } = context
  const weightShape = { outputs, source: weight.span.buffer.dtype, transposed: args.column !== 1 }
  const { size, ...transform } = weightCall(weightShape, args, target)
  const transformed = context.prepared('f32', Math.max(1, size), [weight.span], (into) => ({
    spec: weightSpec(weightShape),
    spans: [weight.span, into],
    ...transform,
  }))
  const shape = { outputs, input: x.span.buffer.dtype, epilogue: epilogueShape(epilogue) }
  const call = winogradCall(shape, g, target)
  const spans = [x.span, transformed, ...epilogueSpans(epilogue)]
  context.call({ spec: winogradSpec(shape), spans, ...call, params: [...call.params, ...epilogue.constants] })
}

export function winogradForward<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return tileSizes.map((outputs) => ({
    name: `winograd${outputs}`,
    applies: (node) => applies(shapes(node)),
    cost: (node, target, _precision, lasts) =>
      winogradCost(outputs, forwardGeometry(shapes(node)), target, lasts?.(node.inputs[1])),
    tolerance: tolerances[outputs],
    bf16: () => 'free',
    fusesEpilogue: true,
    build(node, inputs, epilogue, context) {
      const p = shapes(node)
      const [row, tap, channel] = weightStrides(p)
      const args = { channels: p.groupIn, columns: p.groupOut, row, tap, channel, column: 1, first: 0 }
      emitWinograd(context, outputs, forwardGeometry(p), inputs, args, epilogue)
    },
  }))
}

/** The input gradient is the convolution of the upstream gradient with the flipped, transposed kernel. */
export function winogradInputGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  const geometryOf = (p: Planar) => inputGradientPhases(p)[0].geometry
  return tileSizes.map((outputs) => ({
    name: `winograd${outputs}`,
    applies: (node) => applies(shapes(node)),
    cost: (node, target, _precision, lasts) =>
      winogradCost(outputs, geometryOf(shapes(node)), target, lasts?.(node.inputs[1])),
    tolerance: tolerances[outputs],
    bf16: () => 'free',
    fusesEpilogue: true,
    build(node, inputs, epilogue, context) {
      const p = shapes(node)
      const [row, tap, channel] = weightStrides(p)
      const args = {
        channels: p.groupOut,
        columns: p.groupIn,
        row: -row,
        tap: -tap,
        channel: 1,
        column: channel,
        first: 2 * row + 2 * tap,
      }
      emitWinograd(context, outputs, geometryOf(p), inputs, args, epilogue)
    },
  }))
}

export function winogradWeightGradient<A>(shapes: (node: Node<A>) => Planar): Algorithm<A>[] {
  return tileSizes.map((outputs) => ({
    name: `winograd${outputs}`,
    applies: (node) => applies(shapes(node)),
    cost: (node, target) => winogradGradientCost(outputs, forwardGeometry(shapes(node)), target),
    tolerance: tolerances[outputs],
    bf16: () => 'f32',
    build(node, [x, upstream], epilogue, context) {
      const { target } = context
      const g = forwardGeometry(shapes(node))
      const blocks = gradientBlocks(outputs, g, target)
      const sizes = gradientSizes(outputs, blocks)
      const v = context.temporary('f32', sizes.input)
      const z = context.temporary('f32', sizes.upstream)
      for (let chunk = 0; chunk < blocks.chunks; chunk++) {
        const tiles = gradientTilesCall(outputs, g, blocks, chunk)
        const spec = gradientTilesSpec(outputs, x.span.buffer.dtype, upstream.span.buffer.dtype)
        context.call({ spec, spans: [x.span, upstream.span, v, z], ...tiles })
        const products = gradientProductsCall(outputs, g, blocks, chunk, target)
        context.call({ spec: gradientProductsSpec(outputs), spans: [v, z, epilogue.outputs[0]], ...products })
      }
    },
  }))
}
