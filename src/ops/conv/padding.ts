/** Options of convolutions and pools, checked and made explicit: one number an axis, zeros before and after. */
import { ConfigError, didYouMean, ShapeError } from '../../base/errors.ts'
import { type Shape, showShape } from '../../base/shape.ts'

/**
 * Zeros around the input: none, as many as keep the extent (over the stride, rounded up; an odd one goes to the end, as
 * ONNX's SAME_UPPER), as many as let every overlap count, the same number on every side, or one pair an axis.
 */
export type Padding = 'valid' | 'same' | 'full' | number | readonly (number | readonly number[])[]

export type Pads = readonly (readonly [before: number, after: number])[]

/** Axis names by number of spatial axes, for messages. */
const pairs = ['', '[[left, right]]', '[[top, bottom], [left, right]]', '[[front, back], [top, bottom], [left, right]]']

/**
 * One whole number for each spatial axis.
 * @throws ConfigError when it is no whole number, below `least`, or there are not as many as axes
 */
export function perAxis(
  where: string,
  option: string,
  value: number | readonly number[],
  rank: number,
  least = 1,
): number[] {
  const list: readonly number[] = typeof value === 'number' ? new Array<number>(rank).fill(value) : value
  const valid = Array.isArray(list) && list.length === rank && list.every((n) => Number.isInteger(n) && n >= least)
  if (!valid) {
    const each = rank === 1 ? `or [number]` : `or one for each of the ${rank} spatial axes`
    throw new ConfigError({
      where,
      what: `${option} makes no sense`,
      got: `${option} ${showValue(value)}`,
      expected: `a whole number of at least ${least}, ${each}`,
      fix: `give ${option}: ${least} or more`,
    })
  }
  return [...list]
}

export function showValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(showValue).join(', ')}]`
  return typeof value === 'string' ? `'${value}'` : String(value)
}

/** Extent that a kernel covers with its gaps. */
export function covered(kernel: number, dilation: number): number {
  return (kernel - 1) * dilation + 1
}

/**
 * Zeros before and after each spatial axis.
 * @throws ConfigError on an unknown word, a negative or broken number, or the wrong number of pairs
 */
export function resolvePads(
  where: string,
  padding: Padding,
  window: { readonly size: Shape; readonly kernel: Shape; readonly stride: Shape; readonly dilation: Shape },
): Pads {
  const { size, kernel, stride, dilation } = window
  const rank = size.length
  if (padding === 'valid') return size.map(() => [0, 0])
  if (padding === 'full')
    return size.map((_, i) => [covered(kernel[i], dilation[i]) - 1, covered(kernel[i], dilation[i]) - 1])
  if (padding === 'same') {
    return size.map((extent, i) => {
      const outputs = Math.ceil(extent / stride[i])
      const total = Math.max(0, (outputs - 1) * stride[i] + covered(kernel[i], dilation[i]) - extent)
      const before = Math.floor(total / 2)
      return [before, total - before]
    })
  }
  const whole = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 0
  if (whole(padding)) return size.map(() => [padding, padding])
  if (Array.isArray(padding)) {
    const flat = rank === 1 && padding.length === 2 && padding.every(whole)
    const list: readonly unknown[] = flat ? [padding] : padding
    const isPair = (pair: unknown): pair is [number, number] =>
      Array.isArray(pair) && pair.length === 2 && pair.every(whole)
    if (list.length === rank && list.every(isPair)) return list.map(([before, after]) => [before, after])
  }
  throw new ConfigError({
    where,
    what: 'padding makes no sense',
    got: `padding ${showValue(padding)}`,
    expected: `'valid', 'same', 'full', a whole number of at least 0, or ${pairs[rank]}`,
    fix: typeof padding === 'string' ? didYouMean(padding, ['valid', 'same', 'full']) : `for instance padding: 'same'`,
  })
}

/**
 * Extents of the output.
 * @param padding as the user gave it, for the message; without it, the pads are shown
 * @throws ShapeError when the kernel does not fit, with the paddings that would work
 */
export function outputSize(
  where: string,
  window: {
    readonly size: Shape
    readonly kernel: Shape
    readonly stride: Shape
    readonly dilation: Shape
    readonly pads: Pads
  },
): number[] {
  const { size, kernel, stride, dilation, pads } = window
  const room = size.map((extent, i) => extent + pads[i][0] + pads[i][1])
  const needed = kernel.map((extent, i) => covered(extent, dilation[i]))
  if (room.every((extent, i) => extent >= needed[i])) {
    return room.map((extent, i) => Math.floor((extent - needed[i]) / stride[i]) + 1)
  }
  const outputs = (each: (i: number) => number) =>
    showShape(size.map((extent, i) => Math.floor((extent + each(i) - needed[i]) / stride[i]) + 1))
  const least = Math.max(...needed.map((extent, i) => Math.ceil((extent - size[i]) / 2)))
  const same = showShape(size.map((extent, i) => Math.ceil(extent / stride[i])))
  const dilated = dilation.some((d, i) => d > 1 && kernel[i] > 1)
  const padded = pads.some(([before, after]) => before + after > 0)
  throw new ShapeError({
    where,
    what: padded ? 'the kernel is larger than the padded input' : 'the kernel is larger than the input',
    got:
      `input ${showShape(size)}${padded ? `, padded to ${showShape(room)}` : ''}, ` +
      `kernel ${showShape(kernel)}${dilated ? `, which covers ${showShape(needed)} with dilation ${showShape(dilation)}` : ''}`,
    expected: 'the kernel to fit into the input with its padding on every spatial axis',
    fix:
      `padding 'same' gives an output of ${same}, 'full' one of ${outputs((i) => 2 * (needed[i] - 1))}, ` +
      `${least} on every side one of ${outputs(() => 2 * least)}; or use a smaller kernel`,
  })
}
