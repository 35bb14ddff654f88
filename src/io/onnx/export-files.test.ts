import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runOnnx } from '../../../test/onnx-runtime.ts'
import { type ArchitectureName, architectures, usualInputs } from '../../models/index.ts'
import * as nn from '../../nn/index.ts'
import { init, type Model } from '../../nn/model.ts'
import { compile, type Tensor, tensor } from '../../tensor/index.ts'
import { exportOnnx, type OnnxExportOptions, saveOnnx } from './export.ts'
import { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'

const open = (bytes: Uint8Array): Message<'Model'> => new MessageReader(bytes, 'test.onnx').read('Model')
const input = [6, 5, 3]
const small = (): Model =>
  init(
    nn.sequential(['conv', nn.conv2d(8, 3)], ['relu', nn.relu()], ['flatten', nn.flatten()], ['head', nn.linear(4)]),
    { input, seed: 2 },
  ).eval()

const bytesIn = Uint8Array.from({ length: 2 * 90 }, (_, i) => (i * 37) % 256)
const floats = Float32Array.from({ length: 2 * 90 }, (_, i) => Math.sin(12.9898 * i))

async function ours(model: Model, x: Float32Array | Uint8Array): Promise<number[]> {
  const y = compile((batch: Tensor) => model(batch))(tensor(x, [2, ...input]))
  return Array.from(await (await y).data())
}

async function theirs(bytes: Uint8Array, data: Float32Array | Uint8Array, shape = [2, ...input]): Promise<number[]> {
  const [{ data: found }] = await runOnnx(bytes, [{ data, shape }])
  return Array.from(found)
}

/** [batch, height, width, channels] as [batch, channels, height, width]. */
function first<T extends Float32Array | Uint8Array>(values: T): T {
  const result = values.slice() as T
  for (let b = 0; b < 2; b++) {
    for (let place = 0; place < 30; place++) {
      for (let c = 0; c < 3; c++) result[(b * 3 + c) * 30 + place] = values[(b * 30 + place) * 3 + c]
    }
  }
  return result
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-5)
}

/** The whole text of an error as a user reads it. */
const errorText = (action: Promise<unknown>): Promise<string> =>
  action.then(
    () => 'no error',
    (error: Error) => `${error.name}: ${error.message}`,
  )

const typesOf = (bytes: Uint8Array) => open(bytes).graph?.node.map(({ opType }) => opType)

describe('what is in the file', () => {
  it('names, shapes and versions', async () => {
    const { graph, ...file } = open(await exportOnnx(small(), { classes: ['a', 'b', 'ü', 'd'] }))
    expect([file.producerName, file.producerVersion, file.irVersion]).toEqual(['juanji', '0.1.0', 8])
    expect(file.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([['', 17]])
    expect(file.metadataProps.map(({ key, value }) => [key, value])).toEqual([['classes', '["a","b","ü","d"]']])
    const dims = (value: Message<'ValueInfo'> | undefined) =>
      value?.type?.tensorType?.shape?.dim.map(({ dimParam, dimValue }) => dimParam ?? dimValue)
    expect(graph?.input.map((value) => [value.name, dims(value)])).toEqual([['input', ['N', 3, 6, 5]]])
    expect(graph?.output.map((value) => [value.name, dims(value)])).toEqual([['output', ['N', 4]]])
    expect(graph?.node.map(({ name, opType }) => [name, opType])).toEqual([
      ['conv', 'Conv'],
      ['relu', 'Relu'],
      ['flatten', 'Flatten'],
      ['head', 'Gemm'],
    ])
    expect(graph?.initializer.map(({ name, dims }) => [name, dims])).toEqual([
      ['conv.weight', [8, 3, 3, 3]],
      ['conv.bias', [8]],
      ['head.bias', [4]],
      ['head.weight', [4, 96]],
    ])
    expect(graph?.valueInfo.map((value) => [value.name, dims(value)])).toContainEqual(['conv', ['N', 8, 4, 3]])
  })

  it('the sum and the activation of a block are named after it', async () => {
    const model = init(nn.sequential(['block', nn.residual([['conv', nn.conv2d(3, 1)]])]), { input })
    expect(open(await exportOnnx(model)).graph?.node.map(({ name }) => name)).toEqual([
      'block.conv',
      'block/add',
      'block/relu',
    ])
  })

  it('the ones and the same bytes each time', async () => {
    expect(await exportOnnx(small())).toEqual(await exportOnnx(small()))
  })
})

describe('options', () => {
  it.each<[string, OnnxExportOptions, readonly string[]]>([
    ['channels last', { inputLayout: 'channels-last' }, ['Transpose']],
    ['softmax', { softmax: true }, ['Softmax']],
    ['opset 13', { opset: 13 }, []],
    ['opset 18', { opset: 18 }, []],
    ['opset 21', { opset: 21 }, []],
  ])('%s', async (_name, options, added) => {
    const model = small()
    const bytes = await exportOnnx(model, options)
    const usual = ['Conv', 'Relu', 'Flatten', 'Gemm']
    expect(typesOf(bytes)?.toSorted()).toEqual([...usual, ...added].toSorted())
    const x = options.inputLayout === undefined ? first(floats) : floats
    const shape = options.inputLayout === undefined ? [2, 3, 6, 5] : undefined
    const logits = await ours(model, floats)
    const expected = [0, 4].flatMap((start) => {
      const row = logits.slice(start, start + 4)
      const exps = row.map(Math.exp)
      return options.softmax === true ? exps.map((e) => e / exps.reduce((a, b) => a + b)) : row
    })
    expectClose(await theirs(bytes, x, shape), expected)
  })

  it.each([
    ['softmax', ['Softmax']],
    ['logSoftmax', ['LogSoftmax', 'Exp']],
  ] as const)('softmax of a model that ends in %s', async (ending, expected) => {
    const net = nn.sequential(nn.flatten(), nn.linear(4), nn[ending]())
    const model = init(net, { input, seed: 2 }).eval()
    const bytes = await exportOnnx(model, { softmax: true, inputLayout: 'channels-last' })
    expect(typesOf(bytes)?.slice(-expected.length)).toEqual(expected)
    const found = await theirs(bytes, floats)
    const own = await ours(model, floats)
    expectClose(found, ending === 'softmax' ? own : own.map(Math.exp))
    expect(found.slice(0, 4).reduce((a, b) => a + b)).toBeCloseTo(1)
  })

  it.each([13, 17, 18, 20, 21, 22])('every kind of norm and of reduction in opset %i', async (opset) => {
    const net = nn.sequential(
      ['conv', nn.conv2d(8, 3)],
      ['norm', nn.groupNorm(2)],
      ['gelu', nn.gelu()],
      ['swish', nn.hardSwish()],
      ['layer', nn.layerNorm()],
      ['mean', nn.reduce('mean', [0, 1])],
      ['sum', nn.layerNorm()],
    )
    const model = init(net, { input, seed: 3 }).eval()
    const bytes = await exportOnnx(model, { opset })
    expectClose(await theirs(bytes, first(floats), [2, 3, 6, 5]), await ours(model, floats))
    expect(typesOf(bytes)?.includes('LayerNormalization')).toBe(opset >= 17)
    expect(typesOf(bytes)?.includes('GroupNormalization')).toBe(opset >= 21)
  })

  it.each<[string, boolean]>([
    ['channels first', false],
    ['channels last', true],
  ])('bytes, %s, are scaled as a model does it', async (_name, last) => {
    const model = small()
    const inputLayout = last ? 'channels-last' : 'channels-first'
    const bytes = await exportOnnx(model, { inputLayout, preprocessing: { dtype: 'u8' } })
    const prepared = last ? ['Transpose', 'Cast', 'Mul'] : ['Cast', 'Mul']
    expect(typesOf(bytes)).toEqual([...prepared, 'Conv', 'Relu', 'Flatten', 'Gemm'])
    const got = await theirs(bytes, last ? bytesIn : first(bytesIn), last ? [2, ...input] : [2, 3, 6, 5])
    expectClose(got, await ours(model, bytesIn))
  })

  it('bytes are normalised as the model says, or as asked for', async () => {
    const [mean, std] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ]
    const model = small()
    const asked = await exportOnnx(model, { preprocessing: { dtype: 'u8', mean, std } })
    model.pictures = { mean, std }
    const told = await exportOnnx(model, { preprocessing: { dtype: 'u8' } })
    expect(told).toEqual(asked)
    expectClose(await theirs(told, first(bytesIn), [2, 3, 6, 5]), await ours(model, bytesIn))
  })

  it('values in another range', async () => {
    const model = small()
    const bytes = await exportOnnx(model, { preprocessing: { scale: 2, mean: 0.5, std: 4 } })
    const prepared = floats.map((value) => (value * 2 - 0.5) / 4)
    expectClose(await theirs(bytes, first(floats), [2, 3, 6, 5]), await ours(model, prepared))
  })

  it('an exporter of your own', async () => {
    const cube: nn.Layer = {
      type: 'cube',
      options: {},
      build: (_scope, shape) => ({ output: shape, apply: (x) => x.mul(x).mul(x) }),
    }
    const model = init(nn.sequential(['conv', nn.conv2d(2, 3)], ['cube', cube], ['linear', nn.linear(3)]), { input })
    expect(await errorText(exportOnnx(model))).toMatch(
      /^UnsupportedError: exportOnnx: cube "cube": there is no exporter for layers of this type\.\n {2}expected {2}conv1d, .*\n {2}fix {7}give one that adds its nodes: exportOnnx\(model, \{ exporters: \{ cube: \(step\) => … \} \}\); src\/io\/onnx\/export\/ has examples$/,
    )
    const bytes = await exportOnnx(model, {
      exporters: {
        cube: ({ graph, name, inputs: [x] }) => graph.value(name, 'Pow', [graph.use(x), graph.scalar(3)], {}, x),
      },
    })
    expect(typesOf(bytes)).toEqual(['Conv', 'Pow', 'Conv'])
  })

  it.each<[string, OnnxExportOptions, string]>([
    [
      'opset',
      { opset: 12 },
      'ConfigError: exportOnnx: opset makes no sense.\n  got       12\n  expected  a whole number from 13 to 23\n  fix       correct opset',
    ],
    [
      'layout',
      { inputLayout: 'nhwc' as 'channels-last' },
      "ConfigError: exportOnnx: there is no such inputLayout.\n  got       'nhwc'\n  expected  'channels-first' or 'channels-last'\n  fix       leave it out for channels first",
    ],
    [
      'mean',
      { preprocessing: { mean: [1, 2] } },
      'ConfigError: exportOnnx: preprocessing.mean does not fit the samples.\n  got       [1, 2]\n  expected  a number, or 3: one for each channel\n  fix       correct mean',
    ],
    [
      'std',
      { preprocessing: { std: 0 } },
      'ConfigError: exportOnnx: preprocessing.std makes no sense.\n  got       [0]\n  expected  numbers other than 0\n  fix       correct preprocessing.std',
    ],
    [
      'unknown',
      { softMax: true } as OnnxExportOptions,
      "ConfigError: exportOnnx: unknown option 'softMax'.\n  expected  opset, inputLayout, preprocessing, classes, softmax, exporters\n  fix       did you mean 'softmax'?",
    ],
  ])('that make no sense: %s', async (_name, options, text) => {
    expect(await errorText(exportOnnx(small(), options))).toBe(text)
  })
})

describe('files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'juanji-onnx-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('one file holds the bytes of exportOnnx', async () => {
    const path = join(folder, 'one.onnx')
    expect(await saveOnnx(path, small())).toEqual([path])
    expect(Uint8Array.from(await readFile(path))).toEqual(await exportOnnx(small()))
  })

  it('large weights lie beside it, aligned, and hold the same values', async () => {
    const path = join(folder, 'two.onnx')
    expect(await saveOnnx(path, small(), { externalDataAbove: 1000 })).toEqual([path, `${path}.data`])
    const beside = open(await readFile(path)).graph?.initializer ?? []
    const inside = open(await exportOnnx(small())).graph?.initializer ?? []
    const data = await readFile(`${path}.data`)
    const moved = beside.filter(({ dataLocation }) => dataLocation === 1)
    expect(moved.map(({ name }) => name)).toEqual(['head.weight'])
    for (const { name, externalData, rawData } of moved) {
      const { location, offset, length } = Object.fromEntries(externalData.map(({ key, value }) => [key, value]))
      expect([location, Number(offset) % 4096, rawData]).toEqual(['two.onnx.data', 0, undefined])
      const values = inside.find((tensor) => tensor.name === name)?.rawData
      expect(data.subarray(Number(offset), Number(offset) + Number(length)).equals(values ?? Buffer.of())).toBe(true)
    }
  })

  it('what could not be written leaves nothing behind', async () => {
    const before = await readdir(folder)
    const path = join(folder, 'missing', 'model.onnx')
    expect(await errorText(saveOnnx(path, small()))).toBe(
      `ConfigError: ${path}: cannot write: there is no such file or folder.\n  fix       check the path`,
    )
    const there = join(folder, 'there.onnx')
    await writeFile(there, 'before')
    const broken = Object.assign(small(), {
      get: () => ({ ...small().get('conv.bias'), data: () => Promise.reject(new Error('gone')) }),
    })
    await expect(saveOnnx(there, broken as unknown as Model)).rejects.toThrow()
    expect(await readFile(there, 'utf8')).toBe('before')
    expect((await readdir(folder)).filter((name) => !before.includes(name))).toEqual(['there.onnx'])
  })
})

describe('networks', () => {
  const names = Object.keys(architectures) as ArchitectureName[]

  it.each(names)('%s gives the same in ONNX Runtime, and nothing is turned', async (name) => {
    const input = usualInputs[name]
    const shape = input[0] > 64 ? [64, 64, 3] : input
    const model = init(architectures[name]({ input, classes: 7 }), { input: shape, seed: 1 })
    for (const state of model.states) {
      // So that values grow neither small nor large on the way.
      const variance = name.startsWith('mobileNet') ? 0.15 : 0.3
      if (state.name.endsWith('running_var')) await state.load(new Float32Array(state.size).fill(variance))
    }
    model.eval()
    const bytes = await exportOnnx(model)
    expect(typesOf(bytes)).not.toContain('Transpose')
    const [height, width, channels] = shape
    const forward = compile((x: Tensor) => model(x))
    for (const batch of [1, 2]) {
      const last = Float32Array.from({ length: batch * height * width * channels }, (_, i) => Math.sin(12.9898 * i))
      const data = new Float32Array(last.length)
      const places = height * width
      for (let i = 0; i < last.length; i++) {
        const [c, place, b] = [i % channels, Math.floor(i / channels) % places, Math.floor(i / channels / places)]
        data[(b * channels + c) * places + place] = last[i]
      }
      const [{ data: found }] = await runOnnx(bytes, [{ data, shape: [batch, channels, height, width] }])
      const expected = await (await forward(tensor(last, [batch, ...shape]))).data()
      const largest = Math.max(...expected.map(Math.abs))
      expect(largest).toBeGreaterThan(1e-3)
      for (const [i, value] of expected.entries())
        expect(Math.abs(found[i] - value)).toBeLessThan(1e-4 * Math.max(1, largest))
    }
  })
})
