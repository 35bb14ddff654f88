import { describe, expect, it, test } from 'vitest'
import { type ConvolutionLayer, layerName, layerSet, layerSetNames, paddingOf, parseLayer } from './layer-sets.ts'

/** Multiply-adds of a whole set for one sample. */
function multiplyAdds(name: string): number {
  return layerSet(name).reduce((sum, { work, count }) => {
    const { channels, size, filters, kernelSize, stride, groups } = parseLayer(work) as ConvolutionLayer
    const out = Math.floor((size + 2 * paddingOf(kernelSize) - kernelSize) / stride) + 1
    return sum + count * out ** 2 * filters * (channels / groups) * kernelSize ** 2
  }, 0)
}

describe('layer sets', () => {
  // Of the papers or torchvision, without linear layers: all but ConvNeXt's, which are 1×1 convolutions here.
  test.each([
    ['resnet18', 20, 1.8136e9],
    ['resnet50', 53, 4.0871e9],
    ['mobilenet-v2', 52, 0.2995e9],
    ['convnext-t', 58, 4.4548e9],
    ['efficientnet-b0', 49, 0.3839e9],
  ])('%s has %i convolutions of %d multiply-adds', (name, layers, operations) => {
    expect(layerSet(name).reduce((sum, { count }) => sum + count, 0)).toBe(layers)
    expect(multiplyAdds(name) / operations).toBeCloseTo(1, 3)
  })

  it('has each layer once', () => {
    for (const name of layerSetNames) {
      const works = layerSet(name).map(({ work }) => work)
      expect(new Set(works).size).toBe(works.length)
    }
    expect(layerSet('resnet18').slice(0, 3)).toEqual([
      { work: 'b8-7x7s2-3to64@224', count: 1 },
      { work: 'b8-3x3s1-64to64@56', count: 4 },
      { work: 'b8-1x1s2-64to128@56', count: 1 },
    ])
  })

  it('reads the names it writes', () => {
    for (const set of layerSetNames)
      for (const { work } of layerSet(set)) expect(layerName(parseLayer(work) as ConvolutionLayer)).toBe(work)
  })

  it.each([
    'conv3x3-64@32',
    'b8-3x5s1-3to4@8',
    'b8-3x3s1-3@8',
    'b8-dw3x3s1-3to4@8',
    'b0-3x3s1-3to4@8',
    'b8-9x9s1-3to4@0',
  ])('does not take %s for a layer', (name) => {
    expect(parseLayer(name)).toBeUndefined()
  })
})
