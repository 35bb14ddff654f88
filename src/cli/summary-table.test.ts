import { describe, expect, it } from 'vitest'
import { models, nn, summarize, trainingMemory } from '../index.ts'
import { formatBytes, formatShort, layersToDepth, summaryTable, summaryTotals } from './summary-table.ts'

const small = nn.sequential(
  ['stem', nn.sequential(nn.conv2d(16, 3, { padding: 1, bias: false }), nn.batchNorm(), nn.relu())],
  [
    'block',
    nn.residual(
      [
        ['conv', nn.conv2d(32, 3, { stride: 2, padding: 1 })],
        ['norm', nn.batchNorm()],
      ],
      { shortcut: nn.identityShortcut(32, { stride: 2 }) },
    ),
  ],
  ['pool', nn.globalAvgPool()],
  ['head', nn.linear(10)],
)
const summary = summarize(small, [32, 32, 3])
const text = (lines: readonly string[]) => `\n${lines.join('\n')}\n`

describe('the table', () => {
  it('has layers inside others indented, and columns that add up', () => {
    expect(text(summaryTable(summary, 80))).toBe(`
layer       type                output  parameters  multiply-adds  memory  sees
stem        sequential        32×32×16                                        3
  0         conv2d            32×32×16         432        442,368  64 KiB     3
  1         batchNorm         32×32×16          32         16,384  64 KiB     3
  2         relu              32×32×16                                        3
block       residual          16×16×32                                        5
  conv      conv2d            16×16×32       4,640      1,179,648  32 KiB     5
  norm      batchNorm         16×16×32          64          8,192  32 KiB     5
  shortcut  identityShortcut  16×16×32                                        3
pool        globalAvgPool           32                              128 B   all
head        linear                  10         330            320    40 B   all
`)
  })

  it('tells what is folded as sums', () => {
    expect(text(summaryTable(summary, 80, 1))).toBe(`
layer  type             output  parameters  multiply-adds   memory  sees
stem   sequential     32×32×16         464        458,752  128 KiB     3
block  residual       16×16×32       4,704      1,187,840   64 KiB     5
pool   globalAvgPool        32                               128 B   all
head   linear               10         330            320     40 B   all
`)
    for (const depth of [1, 2, 3]) {
      const layers = layersToDepth(summary, depth)
      expect(layers.reduce((sum, layer) => sum + layer.parameters, 0)).toBe(summary.parameters)
      expect(layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0)).toBe(summary.multiplyAdds)
      expect(layers.reduce((sum, layer) => sum + layer.activationBytes, 0)).toBe(summary.activationBytes)
    }
  })

  it('writes short numbers, then fewer columns, where the terminal is narrow', () => {
    const head = (columns: number) => summaryTable(summary, columns)[0].trim().split(/ {2,}/)
    const full = ['layer', 'type', 'output', 'parameters', 'multiply-adds', 'memory', 'sees']
    const short = ['layer', 'type', 'output', 'params', 'MACs', 'memory', 'sees']
    const narrow = short.filter((heading) => heading !== 'memory')
    expect([200, 79, 78, 68, 60, 20].map(head)).toEqual([
      full,
      full,
      short,
      short,
      narrow,
      narrow.filter((heading) => heading !== 'type'),
    ])
    for (const columns of [78, 60, 50]) {
      for (const line of summaryTable(summary, columns)) expect(line.length).toBeLessThanOrEqual(columns)
    }
  })

  it('of large networks fits 80 columns whole', () => {
    for (const net of [models.resnet18(), models.mobileNetV2()]) {
      const lines = summaryTable(summarize(net, [224, 224, 3]), 80)
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
      expect(lines[0]).toContain('memory')
    }
  })

  it('of a single layer tells its type alone', () => {
    expect(text(summaryTable(summarize(nn.linear(3), [5]), 80))).toBe(`
layer  type    output  parameters  multiply-adds  memory  sees
       linear       3          18             15    12 B   all
`)
  })
})

describe('the totals', () => {
  it('in sentences', () => {
    expect(text(summaryTotals(summary, 64, trainingMemory(summary, 64)))).toBe(`
5,498 parameters and 96 running statistics
1,646,912 multiply-adds (1.65 M) a sample
192 KiB of activations a sample, kept while training
largest layer: block.conv, 4,640 parameters (84 %)

Training with Adam at batch size 64 takes about 17 MiB (estimate, f32):
  86 KiB for weights, their gradients and Adam's two averages
  17 MiB for the batch, its activations, and the largest of them once more
`)
  })

  it("of torchvision's ResNet-18 are the known ones", () => {
    const found = summarize(models.resnet18(), [224, 224, 3])
    expect(summaryTotals(found, 32, trainingMemory(found, 32)).slice(0, 2)).toEqual([
      '11,689,512 parameters (11.69 M) and 9,600 running statistics',
      '1,816,557,056 multiply-adds (1.82 G) a sample',
    ])
  })

  it('tell of frozen parameters', () => {
    const found = summarize(small, [32, 32, 3], { trainable: (path) => path.startsWith('head') })
    expect(summaryTotals(found, 1, trainingMemory(found, 1))[0]).toBe(
      '5,498 parameters, 5,168 of them frozen, and 96 running statistics',
    )
  })
})

it('short numbers have three digits and never a thousand of a unit', () => {
  expect([0, 999, 999.6, 1000, 9994, 9996, 99_949, 99_960, 999_499, 999_500, 1.81656e9].map(formatShort)).toEqual([
    '0',
    '999',
    '1.00 k',
    '1.00 k',
    '9.99 k',
    '10.0 k',
    '99.9 k',
    '100 k',
    '999 k',
    '1.00 M',
    '1.82 G',
  ])
  expect([0, 1023, 1024, 10_239, 1_048_000, 1_048_576, 1.5 * 2 ** 30].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '10 KiB',
    '1023 KiB',
    '1.0 MiB',
    '1.5 GiB',
  ])
})
