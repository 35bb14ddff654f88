/** Samples on their way into a transform: a run of them with zeros before and behind, one vector of channels. */
import type { KernelBuilder } from '../../build.ts'
import { constant, eq } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'

export interface SampleSpec {
  readonly work: BufferParam
  readonly source: BufferParam
  /** Elements from sample to sample. */
  readonly step: Expr
  /** Elements from channel to channel; undefined for neighbours. */
  readonly channel?: Expr
}

/**
 * (to, from, before, inside, after, channels): `before` zeros, `inside` samples, `after` zeros, into one part of a half.
 * Lanes behind the last channel are zeros.
 */
export function defineSamples(k: KernelBuilder, { work, source, step, channel }: SampleSpec): KernelFunction {
  const { lanes } = k
  const element = 2 * lanes
  const nothing = constant('f32', 0, lanes)
  const ints = ['before', 'inside', 'after', 'channels'].map((int) => ({ int }))
  const declarations = [{ pointer: work }, { pointer: source }, ...ints]
  return k.function('samples', declarations, (...params) => {
    const [firstTo, firstFrom] = params as unknown as [Pointer, Pointer]
    const [before, inside, after, channels] = params.slice(2) as Expr[]
    const to = k.pointFrom(firstTo)
    const from = k.pointFrom(firstFrom)
    const stride = k.variable(step, 'step').value
    const zeros = (count: Expr) =>
      k.repeat(count, () => {
        k.store(to, nothing)
        k.advance(to, element)
      })
    const whole = () => {
      const across = channel === undefined || lanes === 1 ? undefined : k.variable(channel, 'channel').value
      k.repeat(inside, () => {
        k.store(to, k.loadVector(from, 0, lanes, across))
        k.advance(from, stride)
        k.advance(to, element)
      })
    }
    const some = () =>
      k.repeat(inside, () => {
        k.store(to, nothing)
        const at = k.pointFrom(from)
        const lane = k.pointFrom(to)
        k.repeat(channels, () => {
          k.store(lane, k.load(at))
          k.advance(lane, 1)
          k.advance(at, channel ?? 1)
        })
        k.advance(from, stride)
        k.advance(to, element)
      })
    zeros(before)
    if (lanes === 1) whole()
    else k.if(eq(channels, lanes), whole, some)
    zeros(after)
  })
}
