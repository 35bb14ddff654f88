import { describe, expect, it } from 'vitest'
import { compile, Parameter, tensor, valueAndGrad } from '../tensor/index.ts'
import { errorText } from '../testing/error-text.ts'
import * as nn from './index.ts'
import { init } from './model.ts'

/** Results and gradients of a layer for samples of one shape. */
async function measure(layer: nn.Layer, x: readonly number[], shape: readonly number[]) {
  const model = init(layer, { input: shape.slice(1) })
  const parameter = new Parameter('x', shape, Float32Array.from(x))
  const run = compile(() => {
    const y = model(parameter.value)
    return [y, ...valueAndGrad([parameter], () => model(parameter.value).sum())[1]] as const
  })
  const [y, gradient] = await run()
  return { y: [...(await y.data())], gradient: [...(await gradient.data())] }
}

const close = (got: readonly number[], expected: readonly number[]) => {
  for (const [i, value] of expected.entries()) {
    if (Number.isFinite(value))
      expect(Math.abs(got[i] - value), `${got[i]} for ${value}`).toBeLessThanOrEqual(Math.abs(value) * 1e-6)
    else expect(got[i]).toBe(value)
  }
}

describe('unary', () => {
  it('asinh is exact and has a gradient everywhere', async () => {
    const x = [0, 1e-3, -0.5, 1, 1e4, -1e5, 1e20].map(Math.fround)
    const { y, gradient } = await measure(nn.unary('asinh'), x, [x.length, 1])
    close(y, x.map(Math.asinh))
    close(
      gradient,
      x.map((value) => 1 / Math.hypot(1, value)),
    )
  })

  it('acosh is exact above 1 and no number below', async () => {
    const x = [1, 1.001, 2, 1e5, 1e20, -1e5, 0.5].map(Math.fround)
    close((await measure(nn.unary('acosh'), x, [x.length, 1])).y, x.map(Math.acosh))
  })

  it('sinh keeps its digits near 0', async () => {
    const x = [0, 1e-6, -1e-3, 0.5, 10].map(Math.fround)
    close((await measure(nn.unary('sinh'), x, [x.length, 1])).y, x.map(Math.sinh))
  })
})

it('the length of zeros has the gradient 0', async () => {
  const { y, gradient } = await measure(nn.reduce('l2', [0]), [0, 0, 3, 4], [2, 2])
  close(y, [0, 5])
  close(gradient, [0, 0, 0.6, 0.8])
})

it('whole numbers are not mixed with others', () => {
  const half = init(nn.sequential(nn.cast('i32'), ['a', nn.scalar('mul', 0.5)]), { input: [2] })
  expect(
    errorText(() => half(tensor([[1, 3]]))),
  ).toBe(`DTypeError: scalar "a": whole numbers meet a number that is none.
  got       x of i32, mul 0.5
  expected  x of f32, or a whole number
  fix       put nn.cast('f32') in front`)
})
