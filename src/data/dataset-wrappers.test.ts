import { describe, expect, test } from 'vitest'
import { arrayDataset, type Dataset, labelsOf, makeDataset } from './dataset.ts'
import { concatDatasets, mapDataset, shuffleDataset } from './dataset-wrappers.ts'

const numbers = (values: readonly number[], classes: readonly string[] = ['even', 'odd']): Dataset =>
  arrayDataset(
    Float32Array.from(values.flatMap((v) => [v, 10 * v])),
    values.map((v) => v % 2),
    [2],
    'f32',
    classes,
  )
/** One that makes its samples elsewhere, and knows no class without making one. */
const slow = (values: readonly number[]): Dataset => {
  const fast = numbers(values)
  return makeDataset({ ...fast, get: async (i) => fast.get(i), label: undefined })
}
const all = async (dataset: Dataset) =>
  Promise.all(
    Array.from({ length: dataset.length }, async (_, i) => {
      const { x, y } = await dataset.get(i)
      return [...x, y]
    }),
  )

describe('mapDataset', () => {
  test('changes values, shape and element type, and keeps the classes', async () => {
    const mapped = mapDataset(numbers([1, 2, 3]), (x, i) => Int32Array.of(x[0] + x[1], i, 7), {
      sampleShape: [3, 1],
      dtype: 'i32',
    })
    expect([mapped.sampleShape, mapped.dtype, mapped.classes]).toEqual([[3, 1], 'i32', ['even', 'odd']])
    expect(await all(mapped)).toEqual([
      [11, 0, 7, 1],
      [22, 1, 7, 0],
      [33, 2, 7, 1],
    ])
    for await (const { x } of mapped.batches({ size: 3 })) expect([x.shape, x.dtype]).toEqual([[3, 3, 1], 'i32'])
  })

  test('takes promises on both sides, and makes nothing to tell a class', async () => {
    const late = mapDataset(slow([4, 5]), async (x) => x.map((v) => -v))
    expect(await all(late)).toEqual([
      [-4, -40, 0],
      [-5, -50, 1],
    ])
    const never = mapDataset(numbers([4, 5]), () => {
      throw new Error('asked')
    })
    expect([...(await labelsOf(never))]).toEqual([0, 1])
    expect(() => never.get(0)).toThrow('asked')
  })

  test('a function that makes something of another size', async () => {
    const message =
      'mapDataset: the function made another number of values of sample 1 than the shape has.\n' +
      '  got       3 values\n' +
      '  expected  2 values, shape [2]\n' +
      '  fix       name the shape of what it makes: mapDataset(data, f, { sampleShape })'
    expect(() => mapDataset(numbers([1, 2]), () => new Float32Array(3)).get(1)).toThrow(message)
    await expect(mapDataset(slow([1, 2]), () => new Float32Array(3)).get(1)).rejects.toThrow(message)
  })
})

describe('shuffleDataset', () => {
  test('has the same samples in an order that the seed fixes', async () => {
    const data = numbers(Array.from({ length: 50 }, (_, i) => i))
    const shuffled = shuffleDataset(data, 3)
    const order = (await all(shuffled)).map(([value]) => value)
    expect(order).not.toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(await all(shuffleDataset(data, 3))).toEqual(await all(shuffled))
    expect(await all(shuffleDataset(data, 4))).not.toEqual(await all(shuffled))
    expect([...(await labelsOf(shuffled))]).toEqual(order.map((value) => value % 2))
  })
})

describe('concatDatasets', () => {
  test('puts one after the other, empty ones too', async () => {
    const joined = concatDatasets(numbers([1, 2]), numbers([]), slow([5]), numbers([6, 8, 9]))
    expect((await all(joined)).map(([value]) => value)).toEqual([1, 2, 5, 6, 8, 9])
    expect(joined.label).toBeUndefined()
    expect([...(await labelsOf(joined))]).toEqual([1, 0, 1, 0, 0, 1])
  })

  test('knows classes without making samples when all parts do', () => {
    const joined = concatDatasets(numbers([1, 2]), numbers([3]))
    expect([0, 1, 2].map((i) => joined.label?.(i))).toEqual([1, 0, 1])
  })

  test('refuses parts that do not fit each other', () => {
    expect(() => concatDatasets()).toThrow(
      'concatDatasets: there is nothing to put together.\n' +
        '  expected  one data set or more\n' +
        '  fix       pass the data sets as arguments: concatDatasets(a, b)',
    )
    expect(() => concatDatasets(numbers([1]), { ...numbers([1]), sampleShape: [1, 2] })).toThrow(
      'concatDatasets: samples of part 1 have another shape than those of part 0.\n' +
        '  got       [1, 2]\n' +
        '  expected  [2]\n' +
        '  fix       bring them to one shape with mapDataset',
    )
    expect(() => concatDatasets(numbers([1]), numbers([1]), { ...numbers([1]), dtype: 'u8' })).toThrow(
      'concatDatasets: samples of part 2 have another element type than those of part 0.\n' +
        '  got       u8\n' +
        '  expected  f32\n' +
        '  fix       bring them to one type with mapDataset',
    )
    expect(() => concatDatasets(numbers([1]), numbers([1], ['odd', 'even']))).toThrow(
      'concatDatasets: part 1 has other classes than part 0.\n' +
        '  got       odd, even\n' +
        '  expected  even, odd\n' +
        '  fix       put data sets together that have the same classes in the same order',
    )
  })
})
