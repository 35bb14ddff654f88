import { describe, expect, it } from 'vitest'
import { tensor } from '../tensor/index.ts'
import { errorText } from '../testing/error-text.ts'
import * as nn from './index.ts'
import { describe as describeNet, init } from './model.ts'

const inception = nn.graph(
  [
    ['a', nn.conv2d(2, 1)],
    ['b.reduce', nn.conv2d(1, 1)],
    ['b.conv', nn.conv2d(3, 3, { padding: 'same' })],
    ['both', nn.concat()],
  ],
  { inputs: { 'b.reduce': ['input'], both: ['a', 'b.conv'] } },
)

describe('nn.graph', () => {
  it('names parameters by the names of its layers, which may hold dots', () => {
    const model = init(nn.sequential(['block', inception]), { input: [4, 4, 2] })
    expect(model.outputShape).toEqual([4, 4, 5])
    expect(model.parameters.map(({ name }) => name)).toEqual([
      'block.a.weight',
      'block.a.bias',
      'block.b.reduce.weight',
      'block.b.reduce.bias',
      'block.b.conv.weight',
      'block.b.conv.bias',
    ])
  })

  it('broadcasts what has fewer axes from the last one on, sample by sample', async () => {
    const net = nn.graph(
      [
        ['mean', nn.reduce('mean', [0])],
        ['off', nn.binary('sub')],
      ],
      {
        inputs: { off: ['input', 'mean'] },
      },
    )
    const model = init(net, { input: [2, 2] })
    const y = model(
      tensor([
        [
          [1, 2],
          [3, 6],
        ],
        [
          [0, 0],
          [4, 8],
        ],
      ]),
    )
    expect(await y.array()).toEqual([
      [
        [-1, -2],
        [1, 2],
      ],
      [
        [-2, -4],
        [2, 4],
      ],
    ])
  })

  it('takes places of every sample by numbers of its own', async () => {
    const net = nn.graph(
      [
        ['last', nn.take(0, [2, -1])],
        ['places', nn.cast('i32')],
        ['picked', nn.gather(0)],
      ],
      {
        inputs: { picked: ['input', 'places'] },
      },
    )
    const model = init(net, { input: [4] })
    expect(
      await model(
        tensor([
          [10, 20, 1, 3],
          [0, 5, -1, 2],
        ]),
      ).array(),
    ).toEqual([
      [20, 3],
      [2, -1],
    ])
  })

  it('holds places in the axis, so that no sample reads another', async () => {
    const net = nn.graph(
      [
        ['places', nn.cast('i32')],
        ['picked', nn.gather(0)],
      ],
      { inputs: { picked: ['input', 'places'] } },
    )
    const x = tensor([
      [2, -9],
      [7, 1],
    ])
    expect(await init(net, { input: [2] })(x).array()).toEqual([
      [-9, 2],
      [1, 1],
    ])
  })

  it('refuses two parameters of one path', () => {
    const net = nn.graph([
      ['a', nn.sequential(['b', nn.linear(3)])],
      ['a.b', nn.linear(3)],
    ])
    const text = `ConfigError: model: two parameters have one path, and files could hold only one of them.
  got       "a.b.weight" twice
  expected  a path of its own for every parameter
  fix       rename a layer: in nn.graph, "a.b" is also the path of a layer "b" inside "a"`
    expect(errorText(() => init(net, { input: [3] }))).toBe(text)
    expect(errorText(() => describeNet(net, [3]))).toBe(text)
  })

  it.each<[string, () => nn.Layer]>([
    [
      `ConfigError: nn.graph: "a" takes "b", which stands behind it.
  got       inputs: { "a": ["b"] }
  expected  "input" or layers that stand before it in the list
  fix       list the layers in the order in which they are computed`,
      () =>
        nn.graph(
          [
            ['a', nn.relu()],
            ['b', nn.relu()],
          ],
          { inputs: { a: ['b'] } },
        ),
    ],
    [
      `ConfigError: nn.graph: the name "input" is taken.
  got       "input"
  expected  names that differ and are not empty; "input" is what the graph is given
  fix       rename "input"`,
      () => nn.graph([['input', nn.relu()]]),
    ],
    [
      `ConfigError: nn.graph: there is no such layer.
  got       "c"
  expected  one of a
  fix       correct the name`,
      () => nn.graph([['a', nn.relu()]], { output: 'c' }),
    ],
  ])('%s', (text, make) => {
    expect(errorText(make)).toBe(text)
  })

  it('tells where inputs do not fit', () => {
    const net = nn.graph(
      [
        ['a', nn.conv2d(3, 1)],
        ['sum', nn.add()],
      ],
      { inputs: { sum: ['a', 'input'] } },
    )
    expect(
      errorText(() => init(net, { input: [4, 4, 2] })),
    ).toBe(`ShapeError: binary "sum": the inputs do not fit each other.
  got       [4, 4, 3] and [4, 4, 2]
  expected  extents that are equal or 1, from the last axis on
  fix       correct the wires of the graph, or reshape one of the inputs`)
    expect(errorText(() => init(nn.sequential(nn.add()), { input: [4] }))).toContain(
      'the layer takes 2 inputs, here it gets one',
    )
  })
})

describe('followLayers', () => {
  it('visits layers in the order of the data, with what arrives at them', () => {
    const net = nn.sequential(
      ['stem', inception],
      ['block', nn.residual([['conv', nn.conv2d(5, 3, { padding: 1 })]])],
      ['flatten', nn.flatten()],
    )
    const seen: string[] = []
    const last = nn.followLayers(net, [4, 4, 2], 'x', ({ path, layer, inline, inputs, output }) => {
      const name = inline ? `${path}:${layer.type}` : path
      seen.push(
        `${name}(${inputs.map(({ value, shape }) => `${value} ${shape.join('×')}`).join(', ')}) ${output.join('×')}`,
      )
      return name
    })
    expect(last).toBe('flatten')
    expect(seen).toEqual([
      'stem.a(x 4×4×2) 4×4×2',
      'stem.b.reduce(x 4×4×2) 4×4×1',
      'stem.b.conv(stem.b.reduce 4×4×1) 4×4×3',
      'stem.both(stem.a 4×4×2, stem.b.conv 4×4×3) 4×4×5',
      'block.conv(stem.both 4×4×5) 4×4×5',
      'block:binary(block.conv 4×4×5, stem.both 4×4×5) 4×4×5',
      'block:relu(block:binary 4×4×5) 4×4×5',
      'flatten(block:relu 4×4×5) 80',
    ])
  })
})
