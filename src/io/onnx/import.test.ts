import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Attributes,
  asNode,
  byImport,
  byRuntime,
  constant,
  difference,
  encodeCase,
  f,
  ints,
  type NodeCase,
  numbers,
  type OnnxCase,
  scalar,
  w,
} from '../../../test/onnx-judge.ts'
import type { JuanjiError } from '../../base/errors.ts'
import { followLayers } from '../../nn/index.ts'
import * as optim from '../../optim/index.ts'
import { compile, crossEntropy, tensor, valueAndGrad } from '../../tensor/index.ts'
import { importOnnx } from './import.ts'
import { onnxOperators } from './operators/index.ts'
import { MessageReader } from './read-message.ts'
import type { MessageInit } from './schema.ts'
import { encodeMessage } from './write.ts'

const model = (input: readonly number[], nodes: readonly NodeCase[], more: Partial<OnnxCase> = {}): Uint8Array =>
  encodeCase({ name: '', input, nodes, ...more })

/** Types and names of the layers, in order. */
async function layersOf(bytes: Uint8Array): Promise<string[]> {
  const { model: found } = await importOnnx(bytes)
  const layers: string[] = []
  followLayers(found.net, found.inputShape, 0, ({ path, layer }) => layers.push(`${path}: ${layer.type}`))
  return layers
}

async function errorOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: JuanjiError) => thrown,
  )
  return `${error?.name}: ${error?.message}`
}

/** A model with other messages, of which the table knows how to write all. */
function changed(bytes: Uint8Array, change: (graph: MessageInit<'Graph'>) => MessageInit<'Graph'>): Uint8Array {
  const file = new MessageReader(bytes, 'test').read('Model')
  return encodeMessage('Model', { ...file, graph: change(file.graph as MessageInit<'Graph'>) })
}

const conv: NodeCase = { op: 'Conv', inputs: ['x', w([4, 3, 3, 3])], outputs: ['conv'] }

describe('names', () => {
  const named = (initializer: string, node: string, op = 'Conv') =>
    changed(model([2, 3, 5, 5], [{ op, inputs: ['x', w([4, 3, 3, 3])] }]), (graph) => ({
      ...graph,
      initializer: graph.initializer?.map((tensor) => ({ ...tensor, name: initializer })),
      node: graph.node?.map((one) => ({ ...one, name: node, input: ['x', initializer] })),
    }))

  it.each([
    ['layer1.0.conv1.weight', '/anything/Conv', 'layer1.0.conv1: conv2d'],
    ['onnx::Conv_193', '/layer1/layer1.0/conv1/Conv', 'layer1.0.conv1: conv2d'],
    ['12', 'model/block/conv', 'model.block.conv: conv2d'],
    ['w', 'Conv_7', 'conv1: conv2d'],
    ['w', '', 'conv1: conv2d'],
    ['__proto__.weight', '', 'proto: conv2d'],
    ['input.weight', '', 'input_: conv2d'],
  ])('%s of %s', async (initializer, node, layer) => {
    expect(await layersOf(named(initializer, node))).toEqual([layer])
  })

  it('that are there twice are told apart', async () => {
    const twice = model(
      [2, 4, 5, 5],
      [
        { op: 'Conv', inputs: ['x', w([4, 4, 1, 1])], outputs: ['a'] },
        { op: 'Conv', inputs: ['a', w([4, 4, 1, 1])] },
      ],
    )
    const same = changed(twice, (graph) => ({
      ...graph,
      node: graph.node?.map((one) => ({ ...one, name: '/block/Conv' })),
    }))
    const paths = changed(same, (graph) => ({
      ...graph,
      initializer: graph.initializer?.map((tensor, i) => ({ ...tensor, name: `w${i}` })),
      node: graph.node?.map((one, i) => ({ ...one, input: [one.input?.[0] ?? '', `w${i}`] })),
    }))
    expect(await layersOf(paths)).toEqual(['block: conv2d', 'block_2: conv2d'])
  })
})

describe('what exporters write as several nodes', () => {
  const behind = (nodes: readonly NodeCase[]): Uint8Array => model([2, 3, 7, 6], [conv, ...nodes])
  const half = asNode(scalar(0.5))
  const one = asNode(scalar(1))
  const patterns: readonly (readonly [name: string, type: string, nodes: readonly NodeCase[]])[] = [
    ['GELU, halved at the end', 'gelu', [
      { op: 'Div', inputs: ['conv', asNode(scalar(Math.SQRT2))], outputs: ['a'] },
      { op: 'Erf', inputs: ['a'], outputs: ['b'] },
      { op: 'Add', inputs: ['b', one], outputs: ['c'] },
      { op: 'Mul', inputs: ['conv', 'c'], outputs: ['d'] },
      { op: 'Mul', inputs: ['d', half] },
    ]],
    ['GELU, halved at the start', 'gelu', [
      { op: 'Mul', inputs: ['conv', half], outputs: ['h'] },
      { op: 'Mul', inputs: ['conv', asNode(scalar(Math.SQRT1_2))], outputs: ['a'] },
      { op: 'Erf', inputs: ['a'], outputs: ['b'] },
      { op: 'Add', inputs: [one, 'b'], outputs: ['c'] },
      { op: 'Mul', inputs: ['h', 'c'] },
    ]],
    ['GELU by tanh', 'gelu', [
      { op: 'Pow', inputs: ['conv', asNode(scalar(3))], outputs: ['a'] },
      { op: 'Mul', inputs: ['a', asNode(scalar(0.044715))], outputs: ['b'] },
      { op: 'Add', inputs: ['conv', 'b'], outputs: ['c'] },
      { op: 'Mul', inputs: ['c', asNode(scalar(Math.sqrt(2 / Math.PI)))], outputs: ['d'] },
      { op: 'Tanh', inputs: ['d'], outputs: ['e'] },
      { op: 'Add', inputs: ['e', one], outputs: ['f'] },
      { op: 'Mul', inputs: ['conv', 'f'], outputs: ['g'] },
      { op: 'Mul', inputs: ['g', half] },
    ]],
    ['SiLU', 'silu', [
      { op: 'Sigmoid', inputs: ['conv'], outputs: ['a'] },
      { op: 'Mul', inputs: ['a', 'conv'] },
    ]],
    ['Mish', 'mish', [
      { op: 'Softplus', inputs: ['conv'], outputs: ['a'] },
      { op: 'Tanh', inputs: ['a'], outputs: ['b'] },
      { op: 'Mul', inputs: ['conv', 'b'] },
    ]],
    ['HardSwish of HardSigmoid', 'hardSwish', [
      { op: 'HardSigmoid', inputs: ['conv'], attributes: { alpha: f(1 / 6) }, outputs: ['a'] },
      { op: 'Mul', inputs: ['conv', 'a'] },
    ]],
    ['HardSwish of Clip', 'hardSwish', [
      { op: 'Add', inputs: ['conv', asNode(scalar(3))], outputs: ['a'] },
      { op: 'Clip', inputs: ['a', asNode(scalar(0)), asNode(scalar(6))], outputs: ['b'] },
      { op: 'Mul', inputs: ['conv', 'b'], outputs: ['c'] },
      { op: 'Div', inputs: ['c', asNode(scalar(6))] },
    ]],
    ['LayerNorm', 'layerNorm', [
      { op: 'ReduceMean', inputs: ['conv', asNode(ints(-1))], outputs: ['mean'] },
      { op: 'Sub', inputs: ['conv', 'mean'], outputs: ['d'] },
      { op: 'Pow', inputs: ['d', asNode(scalar(2))], outputs: ['p'] },
      { op: 'ReduceMean', inputs: ['p', asNode(ints(-1))], outputs: ['v'] },
      { op: 'Add', inputs: ['v', asNode(scalar(0.01))], outputs: ['e'] },
      { op: 'Sqrt', inputs: ['e'], outputs: ['s'] },
      { op: 'Div', inputs: ['d', 's'], outputs: ['n'] },
      { op: 'Mul', inputs: ['n', w([4])], outputs: ['m'] },
      { op: 'Add', inputs: ['m', w([4])] },
    ]],
    ['GroupNorm', 'groupNorm', [
      { op: 'Shape', inputs: ['conv'], outputs: ['to'] },
      { op: 'Reshape', inputs: ['conv', asNode(ints(0, 2, -1))], outputs: ['r'] },
      { op: 'InstanceNormalization', inputs: ['r', asNode({ type: 'float', dims: [2], data: [1, 1] }), asNode({ type: 'float', dims: [2], data: [0, 0] })], outputs: ['n'] },
      { op: 'Reshape', inputs: ['n', 'to'], outputs: ['b'] },
      { op: 'Mul', inputs: ['b', w([4, 1, 1])], outputs: ['m'] },
      { op: 'Add', inputs: ['m', w([4, 1, 1])] },
    ]],
  ] // biome-ignore format: a node a line

  it.each(patterns)('%s', async (_name, type, nodes) => {
    const bytes = behind(nodes)
    const types = (await layersOf(bytes)).map((layer) => layer.split(': ')[1])
    expect(types.filter((one) => one !== 'permute')).toEqual(['conv2d', type])
    const input = { shape: [2, 3, 7, 6], data: numbers(252) }
    expect(difference(await byImport(bytes, input, 'float'), await byRuntime(bytes, input, 'float'))).toBe('')
  })

  it('a bias behind a convolution or a product is theirs', async () => {
    const bytes = model(
      [2, 3, 5, 4],
      [
        conv,
        { op: 'Add', inputs: ['conv', w([4, 1, 1])], outputs: ['a'] },
        { op: 'Flatten', inputs: ['a'], outputs: ['b'] },
        { op: 'MatMul', inputs: ['b', w([24, 5])], outputs: ['c'] },
        { op: 'Add', inputs: [w([5]), 'c'] },
      ],
    )
    const { model: found } = await importOnnx(bytes)
    expect(found.parameters.map(({ name, shape }) => `${name} [${shape}]`)).toEqual([
      'layer0.weight [3,3,3,4]',
      'layer0.bias [4]',
      'layer3.weight [24,5]',
      'layer3.bias [5]',
    ])
    const input = { shape: [2, 3, 5, 4], data: numbers(120) }
    expect(difference(await byImport(bytes, input, 'float'), await byRuntime(bytes, input, 'float'))).toBe('')
  })

  it('a sum that someone else takes as well stays', async () => {
    const bytes = model(
      [2, 3, 5, 4],
      [conv, { op: 'Add', inputs: ['conv', w([4, 1, 1])], outputs: ['a'] }, { op: 'Mul', inputs: ['a', 'conv'] }],
    )
    expect((await layersOf(bytes)).map((layer) => layer.split(': ')[1])).toEqual([
      'conv2d',
      'value',
      'binary',
      'binary',
    ])
  })
})

describe('functions of a file', () => {
  const graph = model(
    [2, 4],
    [
      { op: 'Twice', inputs: ['x', w([4])], attributes: { slope: f(0.25) }, outputs: ['t'] },
      { op: 'Twice', inputs: ['t', w([4])], attributes: { slope: f(0.5) } },
    ],
  )
  const node = (opType: string, input: string[], output: string[], more: Partial<MessageInit<'Node'>> = {}) => ({
    opType,
    input,
    output,
    ...more,
  })
  const slope = { attribute: [{ name: 'alpha', refAttrName: 'slope', type: 1 }] }
  const withFunctions = (functions: readonly MessageInit<'Function'>[]) => {
    const file = new MessageReader(graph, 'test').read('Model')
    const own = file.graph?.node.map((one) => ({ ...one, domain: 'my' }))
    const opsetImport = [...file.opsetImport, { domain: 'my', version: 1 }]
    return encodeMessage('Model', {
      ...file,
      opsetImport,
      functions,
      graph: { ...file.graph, node: own } as MessageInit<'Graph'>,
    })
  }

  it('are read as what they are made of', async () => {
    const bytes = withFunctions([
      {
        name: 'Twice',
        domain: 'my',
        input: ['a', 'b'],
        output: ['c'],
        attribute: ['slope'],
        node: [
          node('Add', ['a', 'b'], ['s']),
          node('Inner', ['s'], ['c'], { domain: 'my', attribute: [{ name: 'slope', refAttrName: 'slope', type: 1 }] }),
        ],
      },
      {
        name: 'Inner',
        domain: 'my',
        input: ['a'],
        output: ['b'],
        attribute: ['slope'],
        node: [node('LeakyRelu', ['a'], ['b'], slope)],
      },
    ])
    const { model: net } = await importOnnx(bytes)
    const layers: unknown[] = []
    followLayers(net.net, net.inputShape, 0, ({ layer }) => layers.push([layer.type, layer.options]))
    expect(layers.filter((one) => String(one).startsWith('leaky'))).toEqual([
      ['leakyRelu', { slope: 0.25 }],
      ['leakyRelu', { slope: 0.5 }],
    ])
    expect(net.parameters).toHaveLength(2)
  })

  it('that call themselves are refused', async () => {
    const bytes = withFunctions([
      {
        name: 'Twice',
        domain: 'my',
        input: ['a', 'b'],
        output: ['c'],
        node: [node('Twice', ['a', 'b'], ['c'], { domain: 'my' })],
      },
    ])
    expect(await errorOf(importOnnx(bytes))).toMatch(
      /^FormatError: ONNX model: functions call each other without an end \(at byte offset \d+\)/,
    )
  })
})

describe('training', () => {
  it('lowers the loss of what came in', async () => {
    const bytes = model(
      [2, 3, 8, 8],
      [
        { op: 'Conv', inputs: ['x', w([6, 3, 3, 3]), w([6])], attributes: { pads: [1, 1, 1, 1] }, outputs: ['a'] },
        {
          op: 'BatchNormalization',
          inputs: ['a', w([6]), w([6]), w([6]), w([6], 0.5, 1)],
          outputs: ['b'],
        },
        { op: 'Relu', inputs: ['b'], outputs: ['c'] },
        { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['d'] },
        { op: 'Mul', inputs: ['d', w([6, 1, 1])], outputs: ['e'] },
        { op: 'Flatten', inputs: ['e'], outputs: ['g'] },
        { op: 'Gemm', inputs: ['g', w([4, 6]), w([4])], attributes: { transB: 1 } },
      ],
    )
    const { model: net } = await importOnnx(bytes)
    net.train()
    const x = tensor(Float32Array.from(numbers(8 * 192)), [8, 8, 8, 3])
    const y = tensor(Int32Array.from([0, 1, 2, 3, 0, 1, 2, 3]))
    const optimizer = optim.sgd(0.1)
    const step = compile(() => {
      const [loss, gradients] = valueAndGrad(net.parameters, () => crossEntropy(net(x), y))
      optimizer.update(net.parameters, gradients)
      return loss
    })
    const losses: number[] = []
    for (let i = 0; i < 5; i++) losses.push((await (await step()).data())[0])
    expect(losses[4]).toBeLessThan(losses[0])
    // The scale behind the pool is a free tensor of the file: it learns, too.
    expect(net.parameters.map(({ name }) => name)).toContain('layer4.c1.value')
  })
})

describe('inputs and outputs', () => {
  it('a graph of several inputs takes values for the others', async () => {
    const two = changed(model([2, 4], [{ op: 'Add', inputs: ['x', 'z'] }]), (graph) => ({
      ...graph,
      input: [
        ...(graph.input ?? []),
        { name: 'z', type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 4 }] } } } },
      ],
    }))
    expect(await errorOf(importOnnx(two))).toBe(`UnsupportedError: ONNX model: the graph takes 2 inputs.
  got       x, z
  expected  one: a model is a function of one batch
  fix       give values for the others: importOnnx(file, { values: { name: numbers } })`)
    const { model: found } = await importOnnx(two, { values: { z: [1, 2, 3, 4] } })
    const y = await found(tensor([[10, 20, 30, 40]])).array()
    expect(y).toEqual([[11, 22, 33, 44]])
    expect(
      await errorOf(importOnnx(two, { values: { y: [1] } })),
    ).toBe(`ConfigError: ONNX model: option values names 'y', which is no open input of the graph.
  expected  x, z
  fix       did you mean 'x'?`)
  })

  it('of several outputs one is chosen, the others are told', async () => {
    const nodes: readonly NodeCase[] = [
      { op: 'Relu', inputs: ['x'], outputs: ['features'] },
      { op: 'Neg', inputs: ['features'] },
    ]
    const both = changed(model([2, 4], nodes), (graph) => ({
      ...graph,
      output: [...(graph.output ?? []), { name: 'features' }],
    }))
    const first = await importOnnx(both)
    expect(first.report.notes).toEqual(['outputs left out: features'])
    const { model: features, report } = await importOnnx(both, { output: 'features' })
    expect(features.net.type).toBe('sequential')
    expect(report.notes).toEqual(['outputs left out: y'])
    expect(
      await errorOf(importOnnx(both, { output: 'feature' })),
    ).toBe(`ConfigError: ONNX model: the graph has no output 'feature'.
  expected  y, features
  fix       did you mean 'features'?`)
  })

  it('pictures come channels last, and the report says so', async () => {
    const {
      model: net,
      report,
      input,
      output,
    } = await importOnnx(model([2, 3, 5, 7], [conv, { op: 'Relu', inputs: ['conv'] }]))
    expect([net.inputShape, net.outputShape]).toEqual([
      [5, 7, 3],
      [3, 5, 4],
    ])
    expect([input, output]).toEqual([
      { axes: [2, 3, 1], batch: 0 },
      { axes: [2, 3, 1], batch: 0 },
    ])
    expect(report).toEqual({
      format: 'ONNX opset 21',
      notes: [
        'input turned from [3, 5, 7] to channels last, [5, 7, 3]',
        'output turned from [N, 4, 3, 5] to channels last, [N, 3, 5, 4]',
      ],
    })
  })

  it('bytes come as bytes', async () => {
    const bytes = model([2, 3], [{ op: 'Cast', inputs: ['x'], attributes: { to: 1 } }], { type: 'uint8' })
    const { model: net, report } = await importOnnx(bytes)
    expect(report.notes).toEqual(['input of bytes: u8 as it is, or f32 from 0 to 255'])
    const pixels = Array.from(await net(tensor(Uint8Array.of(0, 7, 255), [1, 3])).data(), (value) => value.toFixed(4))
    expect(pixels).toEqual(['0.0000', '7.0000', '255.0000'])
    expect(await net(tensor([[0, 51, 255]])).array()).toEqual([[0, 51, 255]])
  })

  it.each([
    ['float', undefined],
    ['uint8', 'u8'],
    ['int64', 'i32'],
    ['bool', undefined],
  ] as const)('samples of %s are %s', async (type, dtype) => {
    const bytes = model([2, 3], [{ op: 'Cast', inputs: ['x'], attributes: { to: 1 } }], { type })
    expect((await importOnnx(bytes)).dtype).toBe(dtype)
  })

  it('open extents are asked for', async () => {
    const open = changed(model([2, 3, 5, 7], [{ op: 'Conv', inputs: ['x', w([4, 3, 3, 3])] }]), (graph) => ({
      ...graph,
      input: [
        {
          name: 'x',
          type: {
            tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'N' }, { dimValue: 3 }, {}, { dimParam: 'W' }] } },
          },
        },
      ],
    }))
    expect(await errorOf(importOnnx(open))).toBe(`UnsupportedError: ONNX model: the shape of the input 'x' is open.
  got       [?, 3, ?, ?]
  expected  the shape of a sample, channels last
  fix       give it: importOnnx(file, { input: [224, 224, 3] }), or --input 224,224,3`)
    expect((await importOnnx(open, { input: [9, 8, 3] })).model.outputShape).toEqual([7, 6, 4])
    expect(
      await errorOf(importOnnx(open, { input: [3, 9, 8] })),
    ).toBe(`ConfigError: ONNX model: option input does not fit the input 'x'.
  got       [3, 9, 8]
  expected  [?, ?, 3], channels last, without the batch
  fix       correct the option`)
  })

  it('a graph that mixes samples takes all of the input as one sample', async () => {
    const bytes = model([3, 4], [{ op: 'Softmax', inputs: ['x'], attributes: { axis: 0 } }], { fixed: true })
    const { model: net, report } = await importOnnx(bytes)
    expect([net.inputShape, report.notes]).toEqual([[3, 4], ['all of the input, [3, 4], is one sample']])
    const open = model([3, 4], [{ op: 'Softmax', inputs: ['x'], attributes: { axis: 0 } }])
    expect(
      await errorOf(importOnnx(open)),
    ).toBe(`UnsupportedError: ONNX model: node Softmax (output 'y'), opset 21: works along axis 0, the batch, which mixes samples.
  expected  operators that treat every sample of a batch by itself
  fix       export the model with a batch that only the first axis stands for`)
  })
})

describe('what reads otherwise than it says', () => {
  it('BatchNormalization in training mode takes the stored statistics, which a note says', async () => {
    const norm = (attributes: Attributes, outputs = ['y'], opset = 15) =>
      model(
        [4, 3, 2, 2],
        [
          {
            op: 'BatchNormalization',
            inputs: ['x', ...[1, 2, 0.5, 3].map((value) => constant('float', [3], [value, value, value]))],
            attributes,
            outputs,
          },
        ],
        { opset },
      )
    const { model: found, report } = await importOnnx(norm({ training_mode: 1 }))
    expect(report.notes).toContain(
      'BatchNormalization stands in training mode: the file normalises with the mean and variance of each batch, the model with the stored ones; its outputs differ from those of the file. Export in inference mode to have them equal',
    )
    expect((await importOnnx(norm({}, ['y', 'mean', 'var'], 9))).report.notes).toEqual(report.notes)
    const x = tensor(Float32Array.from(numbers(48)), [4, 2, 2, 3])
    expect(await (await found(x)).data()).toEqual(await (await importOnnx(norm({}))).model(x).data())
  })

  it('Resize to sizes that name a batch, where the batch is open', async () => {
    const bytes = model(
      [1, 2, 3, 4],
      [{ op: 'Resize', inputs: ['x', undefined, undefined, ints(1, 2, 6, 8)], attributes: { mode: 'nearest' } }],
    )
    const { report } = await importOnnx(bytes)
    expect(report.notes.slice(1, 2)).toEqual([
      'Resize gives sizes for a batch of 1 where the batch is open: taken for every batch',
    ])
    const input = { shape: [1, 2, 3, 4], data: numbers(24) }
    expect(difference(await byImport(bytes, input, 'float'), await byRuntime(bytes, input, 'float'))).toBe('')
    const two = { shape: [2, 2, 3, 4], data: [...input.data, ...input.data] }
    expect((await byImport(bytes, two, 'float')).shape).toEqual([2, 2, 6, 8])
  })
})

describe('what is not read', () => {
  it('an operator is named with node, domain and opset', async () => {
    const bytes = changed(model([2, 4], [{ op: 'GridSample', inputs: ['x'] }]), (graph) => ({
      ...graph,
      node: graph.node?.map((node) => ({ ...node, name: '/warp/GridSample' })),
    }))
    expect(
      await errorOf(importOnnx(bytes)),
    ).toBe(`UnsupportedError: ONNX model: the operator 'GridSample' of node '/warp/GridSample' is not read (domain 'ai.onnx', opset 21).
  expected  one of the ${onnxOperators().size} that onnxOperators() lists
  fix       export the model without it, or add it in src/io/onnx/operators`)
    const typo = model([2, 4], [{ op: 'Convv', inputs: ['x'] }])
    expect(await errorOf(importOnnx(typo))).toContain("did you mean 'Conv'?")
    const foreign = changed(typo, (graph) => ({
      ...graph,
      node: graph.node?.map((node) => ({ ...node, domain: 'com.microsoft' })),
    }))
    expect(await errorOf(importOnnx(foreign))).toContain("(domain 'com.microsoft', opset 21)")
  })

  it('what an operator does not do here is told', async () => {
    const bytes = model(
      [2, 3, 8, 8],
      [{ op: 'Conv', inputs: ['x', w([4, 3, 3, 3])], attributes: { pads: [-1, 0, 0, 0] } }],
    )
    expect(
      await errorOf(importOnnx(bytes)),
    ).toBe(`UnsupportedError: ONNX model: node Conv (output 'y'), opset 21: has negative pads.
  got       [-1, 0, 0, 0]
  fix       export the model without it, or teach src/io/onnx/operators to read it`)
  })

  it('damage is told with the byte offset', async () => {
    const bytes = model([2, 3, 8, 8], [{ op: 'Conv', inputs: ['x', w([4, 3, 3, 3])] }])
    const message = await errorOf(importOnnx(bytes.subarray(0, 200)))
    expect(message).toBe(`FormatError: ONNX model: field graph reaches beyond what it is part of (at byte offset 2).
  got       522 bytes
  expected  an end at byte 200 at the latest
  fix       the file is cut short or not an ONNX model: get it again`)
    expect(await errorOf(importOnnx(new TextEncoder().encode('hello')))).toMatch(
      /^FormatError: ONNX model: .* \(at byte offset \d+\)/,
    )
  })
})

describe('weights in other files', () => {
  const weight = w([4, 3, 3, 3])
  const external = (location: string, more: readonly { key: string; value: string }[] = []) =>
    changed(model([2, 3, 8, 8], [{ op: 'Conv', inputs: ['x', weight] }]), (graph) => ({
      ...graph,
      initializer: graph.initializer?.map(({ rawData, ...tensor }) => ({
        ...tensor,
        dataLocation: 1,
        externalData: [{ key: 'location', value: location }, { key: 'offset', value: '8' }, ...more],
      })),
    }))
  const values = new Uint8Array(8 + 432)
  values.set(new Uint8Array(Float32Array.from(weight.data).buffer), 8)

  it('are read from the folder of the model, by offset', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'juanji-onnx-'))
    try {
      await mkdir(join(folder, 'model', 'parts'), { recursive: true })
      const path = join(folder, 'model', 'model.onnx')
      await writeFile(join(folder, 'model', 'parts', 'w.bin'), values)
      await writeFile(join(folder, 'outside.bin'), values)
      await writeFile(path, external('parts/w.bin', [{ key: 'length', value: '432' }]))
      const { model: found } = await importOnnx(path)
      const whole = await importOnnx(model([2, 3, 8, 8], [{ op: 'Conv', inputs: ['x', weight] }]))
      expect(await found.parameters[0].data()).toEqual(await whole.model.parameters[0].data())

      for (const location of ['../outside.bin', '/etc/passwd', 'parts/../../outside.bin', 'C:\\x', '']) {
        await writeFile(path, external(location))
        expect(await errorOf(importOnnx(path))).toMatch(
          /^FormatError: .*lies in no file of the model's folder \(at byte offset \d+\)/,
        )
      }
      await symlink(join(folder, 'outside.bin'), join(folder, 'model', 'link.bin'))
      await writeFile(path, external('link.bin'))
      expect(await errorOf(importOnnx(path))).toContain("'link.bin' is a link out of the model's folder")
      await writeFile(path, external('parts/w.bin', [{ key: 'length', value: '400' }]))
      expect(await errorOf(importOnnx(path))).toContain('says in an impossible way where its values are')
      await writeFile(path, external('none.bin'))
      expect(await errorOf(importOnnx(path))).toContain('none.bin')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('come with the bytes of the model where there are no paths', async () => {
    const bytes = external('w.bin')
    const { model: found } = await importOnnx(bytes, { files: { 'w.bin': values } })
    expect(found.parameterCount).toBe(108)
    expect(await errorOf(importOnnx(bytes))).toBe(`ConfigError: ONNX model: weights lie in another file.
  got       the bytes of the model alone
  expected  'w.bin' beside it
  fix       give the path of the model, or the file's bytes: importOnnx(bytes, { files: { 'w.bin': bytes } })`)
    expect(await errorOf(importOnnx(bytes, { files: { 'w.bin': values.subarray(0, 100) } }))).toContain(
      'the file ends before',
    )
  })
})
