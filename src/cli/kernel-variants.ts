/** What a practitioner weighs when choosing a kernel size: the sizes asked for, and what sees as much for less. */
import { type Shape, sizeOf } from '../base/shape.ts'
import { nn, summarize } from '../index.ts'

export interface KernelWork {
  readonly batch: number
  /** Height, width, channels. */
  readonly input: Shape
  readonly filters: number
  readonly kernels: readonly number[]
  readonly padding: nn.Padding
  readonly stride: number
  readonly dilation: number
  readonly groups: number
}

export interface KernelVariant {
  /** `3×3`, `2 × 3×3` (one after the other), `dw 3×3 + 1×1` (depthwise separable). */
  readonly name: string
  /** The size it was asked for or stands in for. */
  readonly kernel: number
  readonly net: nn.Layer
  readonly output: Shape
  readonly parameters: number
  /** Of the whole batch, forward. */
  readonly multiplyAdds: number
  /** Input and all outputs of the batch, f32. */
  readonly activationBytes: number
  readonly weightBytes: number
  /** Input pixels along an axis that one output value sees. */
  readonly receptiveField: number
}

const bytesOfF32 = 4

/**
 * The kernel sizes, and where nothing keeps them from standing in for a size: 3×3 convolutions one after the other that
 * see as much, and depthwise separable convolutions. No biases, nothing in between.
 * @throws ShapeError, ConfigError when a convolution does not fit the input
 */
export function kernelVariants(work: KernelWork): readonly KernelVariant[] {
  const { filters, kernels, padding, stride, dilation, groups } = work
  const options = { padding, stride, dilation, bias: false }
  const variants: KernelVariant[] = []
  const add = (name: string, kernel: number, net: nn.Layer) => variants.push(variantOf(work, name, kernel, net))
  for (const k of kernels) add(`${k}×${k}`, k, nn.conv2d(filters, k, { ...options, groups }))
  if (groups > 1) return variants
  // Borders of other layers fit only where each keeps to the same rule.
  const follows = padding === 'same' || padding === 'valid'
  for (const k of kernels) {
    const count = (k - 1) / 2
    if (count < 2 || !Number.isInteger(count) || stride !== 1 || dilation !== 1 || !follows) continue
    const small = () => nn.conv2d(filters, 3, options)
    add(`${count} × 3×3`, k, nn.sequential(...Array.from({ length: count }, small)))
  }
  for (const k of kernels) {
    if (k === 1) continue
    const separable = nn.sequential(nn.depthwiseConv2d(k, options), nn.conv2d(filters, 1, { bias: false }))
    add(`dw ${k}×${k} + 1×1`, k, separable)
  }
  return variants
}

function variantOf({ batch, input }: KernelWork, name: string, kernel: number, net: nn.Layer): KernelVariant {
  const { output, parameters, multiplyAdds, layers, root } = summarize(net, input)
  const values = layers.reduce((sum, layer) => sum + sizeOf(layer.output), sizeOf(input))
  return {
    name,
    kernel,
    net,
    output,
    parameters,
    multiplyAdds: batch * multiplyAdds,
    activationBytes: bytesOfF32 * batch * values,
    weightBytes: bytesOfF32 * parameters,
    receptiveField: root.receptiveField ?? Math.max(...input.slice(0, 2)),
  }
}

/** How long a variant takes with one choice of algorithms. */
export interface VariantTime {
  /** Of the forward pass, one for each layer that differs: `direct`, `depthwise + pointwise`. */
  readonly algorithm: string
  /** Whether it is what runs when nobody says otherwise. */
  readonly chosen: boolean
  readonly forwardMs: number
  /** With the gradients of input and weights. */
  readonly forwardBackwardMs: number
}

export interface MeasuredVariant extends KernelVariant {
  /** The chosen algorithm first. */
  readonly times: readonly VariantTime[]
}

/** Multiply-adds of the definition, two operations each, over the time: Winograd's may be above the machine's peak. */
export const effectiveGflops = (multiplyAdds: number, ms: number): number => (2 * multiplyAdds) / ms / 1e6

/**
 * One sentence on what the figures say: about the largest kernel, whether something else that sees as much takes less
 * time; without alternatives how time grows from the smallest kernel to the largest.
 */
export function kernelAdvice(variants: readonly MeasuredVariant[]): string | undefined {
  const msOf = ({ times }: MeasuredVariant) => Math.min(...times.map((time) => time.forwardBackwardMs))
  const isSingle = ({ name, kernel }: MeasuredVariant) => name === `${kernel}×${kernel}`
  const singles = variants.filter(isSingle).toSorted((a, b) => a.kernel - b.kernel)
  const [smallest, largest] = [singles.at(0), singles.at(-1)]
  if (smallest === undefined || largest === undefined) return undefined
  const others = variants.filter((variant) => !isSingle(variant) && variant.kernel === largest.kernel)
  if (others.length === 0) {
    if (smallest === largest) return undefined
    const times = ratio(msOf(largest), msOf(smallest))
    const work = ratio(largest.multiplyAdds, smallest.multiplyAdds)
    return `${largest.name} trains in ${times} the time of ${smallest.name}, for ${work} the multiply-adds.`
  }
  const fastest = others.reduce((best, next) => (msOf(next) < msOf(best) ? next : best))
  const [one, other] = [msOf(largest), msOf(fastest)]
  const parameters = `${ratio(fastest.parameters, largest.parameters)} its parameters`
  return other < one
    ? `${fastest.name} sees as much as ${largest.name} and trains in ${ratio(other, one)} its time, with ${parameters}.`
    : `Nothing here that sees as much as ${largest.name} trains faster: ${fastest.name} takes ${ratio(other, one)} its time, with ${parameters}.`
}

const ratio = (a: number, b: number): string => `${(a / b).toFixed(a / b < 9.995 ? 2 : 0)} times`
