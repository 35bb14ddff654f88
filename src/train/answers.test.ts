import { describe, expect, it } from 'vitest'
import { arrayDataset } from '../data/index.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import { tensor } from '../tensor/index.ts'
import { evaluate, predict } from './evaluate.ts'
import { fit } from './fit.ts'

const x = Float32Array.from({ length: 60 }, (_, i) => Math.sin(7 * i + 1))
const y = Int32Array.from({ length: 12 }, (_, i) => i % 3)
const data = arrayDataset(x, y, [5], 'f32', ['a', 'b', 'c'])

/** The same weights with and without something behind them. */
async function pair(...behind: nn.Layer[]) {
  const plain = init(nn.sequential(nn.linear(3)), { input: [5], seed: 2 })
  const other = init(nn.sequential(nn.linear(3), ...behind), { input: [5], seed: 2 })
  await other.load(await plain.save())
  return { plain, other }
}

describe.each<[string, nn.Layer[]]>([
  ['softmax', [nn.softmax(), nn.dropout(0.5)]],
  ['logSoftmax', [nn.logSoftmax()]],
])('a net that ends in %s', (_name, behind) => {
  it('is measured, asked and trained as the one without', async () => {
    const { plain, other } = await pair(...behind)
    const [expected, got] = [await evaluate(plain, data), await evaluate(other, data)]
    expect(got.loss).toBeCloseTo(expected.loss, 5)
    expect(got.accuracy).toBe(expected.accuracy)
    const [a] = await predict(plain, tensor(x.subarray(0, 5), [1, 5]))
    const [b] = await predict(other, tensor(x.subarray(0, 5), [1, 5]))
    for (const [i, probability] of a.probabilities.entries()) expect(b.probabilities[i]).toBeCloseTo(probability, 5)
  })

  it('learns as the one without', async () => {
    const { plain, other } = await pair(...behind.filter(({ type }) => type !== 'dropout'))
    const options = { epochs: 3, batchSize: 4, validation: 0, seed: 1 }
    const [expected, got] = [await fit(plain, data, options), await fit(other, data, options)]
    for (const [i, { loss }] of expected.epochs.entries()) expect(got.epochs[i].loss).toBeCloseTo(loss, 4)
  })
})

it.each<[string, nn.Layer[]]>([
  ['softmax', []],
  ['softmax and reshape', [nn.reshape([1, 3]), nn.flatten()]],
])('learns from a sample that a net which ends in %s is sure of and wrong', async (_name, behind) => {
  const { plain, other } = await pair(nn.softmax(), ...behind)
  const far = Float32Array.from(x, (value) => 1000 * value)
  const sure = arrayDataset(far, y, [5], 'f32', ['a', 'b', 'c'])
  const options = { epochs: 2, batchSize: 12, validation: 0, seed: 1 }
  const [expected, got] = [await fit(plain, sure, options), await fit(other, sure, options)]
  expect(expected.epochs[0].loss).toBeGreaterThan(100)
  for (const [i, { loss }] of expected.epochs.entries()) expect(got.epochs[i].loss / loss).toBeCloseTo(1, 5)
  expect(got.epochs[1].loss).toBeLessThan(got.epochs[0].loss)
})

it('a softmax along another axis is no answer', () => {
  expect(nn.answerOf(nn.softmax({ axis: 0 }), [4, 3])).toBe('logits')
  expect(nn.answerOf(nn.softmax({ axis: 1 }), [4, 3])).toBe('probabilities')
})
