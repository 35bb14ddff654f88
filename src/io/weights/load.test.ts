import { describe, expect, it } from 'vitest'
import { goldenError, goldenInput, loadWeightsCases, type WeightsCase } from '../../../test/golden/values.ts'
import { FormatError } from '../../base/errors.ts'
import { sizeOf } from '../../base/shape.ts'
import * as nn from '../../nn/index.ts'
import { init, type Model } from '../../nn/model.ts'
import { tensor } from '../../tensor/index.ts'
import { readSafetensors, type SafetensorsTensor } from '../safetensors.ts'
import { type LoadWeightsOptions, loadWeights, showWeightsReport, type WeightsReport } from './load.ts'
import { openWeights } from './open.ts'
import { type WeightsFile, weightsInMemory } from './source.ts'
import { encodeWeights } from './write.ts'

const networks: Readonly<Record<WeightsCase['name'], () => nn.Layer>> = {
  classifier: () =>
    nn.sequential(
      nn.conv2d(4, 3, { padding: 1 }),
      nn.batchNorm(),
      nn.relu(),
      nn.maxPool2d(2),
      nn.conv2d(8, [1, 2], { groups: 4, bias: false }),
      nn.flatten(),
      nn.batchNorm(),
      nn.dropout(0.5),
      nn.layerNorm(),
      nn.prelu({ slopes: 'channels' }),
      nn.linear(5),
      nn.relu(),
      nn.linear(3),
    ),
  decoder: () =>
    nn.sequential(
      nn.linear(30),
      nn.batchNorm(),
      nn.relu(),
      nn.reshape([3, 2, 5]),
      nn.convTranspose2d(4, 3, { stride: 2, padding: 1 }),
      nn.conv2d(2, 1),
    ),
  sequence: () =>
    nn.sequential(nn.conv1d(4, 2), nn.tanh(), nn.flatten(), nn.linear(6), nn.reshape([3, 2]), nn.conv1d(2, 2)),
  branches: () =>
    nn.graph(
      [
        ['a', nn.conv2d(3, 2)],
        ['relu', nn.relu()],
        ['flatA', nn.flatten()],
        ['b', nn.conv2d(4, 3, { stride: 2 })],
        ['flatB', nn.flatten()],
        ['mean', nn.globalAvgPool()],
        ['all', nn.concat()],
        ['head', nn.linear(3)],
      ],
      { inputs: { b: ['input'], mean: ['input'], all: ['flatA', 'flatB', 'mean'] } },
    ),
}

const f32 = (shape: readonly number[], data: ArrayLike<number>): SafetensorsTensor => ({
  dtype: 'F32',
  shape,
  data: Float32Array.from(data),
})

/** A file of PyTorch's that holds tensors, all zeros where only shapes are given. */
function fileOf(tensors: Readonly<Record<string, readonly number[] | SafetensorsTensor>>): WeightsFile {
  const entries = Object.entries(tensors).map(
    ([name, of]) => [name, 'dtype' in of ? of : f32(of, new Float32Array(sizeOf(of)))] as const,
  )
  return weightsInMemory(entries, { path: 'w.pt', format: 'PyTorch zip', layout: 'pytorch' })
}

const goldenFile = ({ tensors }: WeightsCase) =>
  fileOf(Object.fromEntries(tensors.map((spec) => [spec.name, f32(spec.shape, goldenInput(spec))])))

async function outputError(model: Model, { input, output }: WeightsCase): Promise<number> {
  return goldenError(
    await model
      .eval()(tensor(goldenInput(input), [...input.shape]))
      .data(),
    output,
  )
}

async function messageOf(action: Promise<unknown>): Promise<string> {
  const error = await action.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(FormatError)
  return (error as FormatError).message
}

describe.each(loadWeightsCases())('the network $name of PyTorch', (c) => {
  const make = () => init(networks[c.name](), { input: c.input.shape.slice(1), seed: 3 })

  it('gives the same outputs here', async () => {
    const model = make()
    const report = await loadWeights(model, goldenFile(c))
    expect(report.loaded.length).toBe(c.tensors.length)
    expect(await outputError(model, c)).toBeLessThan(2e-6)
  })

  it('is written back as it was, in both layouts', async () => {
    const model = make()
    await loadWeights(model, goldenFile(c))
    const bytes = await encodeWeights(model)
    const written = readSafetensors(bytes, 'w.safetensors')
    expect(written.metadata).toMatchObject({ format: 'pt', layout: 'channels-first' })
    expect([...written.tensors.keys()].sort()).toEqual(c.tensors.map(({ name }) => name).sort())
    for (const spec of c.tensors) {
      expect(written.tensors.get(spec.name)).toEqual(f32(spec.shape, goldenInput(spec)))
    }
    const again = make()
    await loadWeights(again, await openWeights(bytes, 'w.safetensors'))
    expect(await outputError(again, c)).toBeLessThan(2e-6)

    const ours = await openWeights(await encodeWeights(model, { layout: 'juanji' }), 'w.safetensors')
    expect(ours.layout).toBe('juanji')
    const third = make()
    expect((await loadWeights(third, ours)).permuted).toEqual([])
    expect(await third.save()).toEqual(await model.save())
  })
})

describe('loadWeights', () => {
  const net = () => nn.sequential(['conv', nn.conv2d(3, 2)], ['bn', nn.batchNorm()], nn.flatten(), ['fc', nn.linear(2)])
  const make = () => init(net(), { input: [3, 3, 2] })
  const shapes = {
    'conv.weight': [3, 2, 2, 2],
    'conv.bias': [3],
    'bn.weight': [3],
    'bn.bias': [3],
    'bn.running_mean': [3],
    'bn.running_var': [3],
    'fc.weight': [2, 12],
    'fc.bias': [2],
  }
  const load = (file: WeightsFile, options?: LoadWeightsOptions, model = make()): Promise<WeightsReport> =>
    loadWeights(model, file, options)

  it('reports what it did, and shows it', async () => {
    const half: SafetensorsTensor = { dtype: 'F16', shape: [3], data: Uint16Array.of(0x3c00, 0, 0xc000) }
    const batches: SafetensorsTensor = { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) }
    const model = make()
    const report = await load(fileOf({ ...shapes, 'conv.bias': half, 'bn.num_batches_tracked': batches }), {}, model)
    expect(report).toEqual({
      path: 'w.pt',
      format: 'PyTorch zip',
      layout: 'pytorch',
      loaded: [...Object.keys(shapes).filter((name) => !name.includes('running')), 'bn.running_mean', 'bn.running_var'],
      values: 65,
      missing: [],
      unexpected: [],
      mismatched: [],
      permuted: [
        { name: 'conv.weight', how: '[out, in, ...kernel] to [...kernel, in, out]' },
        { name: 'fc.weight', how: '[out, in] to [in, out] behind a flatten' },
      ],
      ignored: ['bn.num_batches_tracked'],
      cast: [{ name: 'conv.bias', from: 'F16' }],
      notes: [],
    })
    expect([...(await model.get('conv.bias').data())]).toEqual([1, 0, -2])
    expect(showWeightsReport(report).join('\n')).toBe(`loaded      8 tensors, 65 values, from PyTorch zip
permuted    1: [out, in, ...kernel] to [...kernel, in, out]
permuted    1: [out, in] to [in, out] behind a flatten
cast        1: F16 to F32
ignored     1: bn.num_batches_tracked`)
  })

  it('is strict: what does not fit is told, and nothing is changed', async () => {
    const model = make()
    const before = await model.save()
    const { 'bn.bias': _left, ...rest } = shapes
    const file = fileOf({ ...rest, 'fc.weight': [5, 12], extra: [1] })
    expect(await messageOf(load(file, {}, model))).toBe(
      `w.pt: the weights do not fit the model.
  got       1 missing: bn.bias; 1 unexpected: extra; 1 of another shape: fc.weight [5, 12] instead of [2, 12]
  expected  a tensor for each of the model's 8 parameters and states, and no others
  fix       build the model the file was saved from, give rules for names (rename), or load what fits with strict: false`,
    )
    expect(await model.save()).toEqual(before)
    const report = await load(file, { strict: false }, model)
    expect(report.missing).toEqual(['bn.bias'])
    expect(report.unexpected).toEqual(['extra'])
    expect(report.mismatched).toEqual([{ name: 'fc.weight', file: [5, 12], expected: [2, 12], model: [12, 2] }])
    expect(report.loaded.length).toBe(6)
    expect(await model.get('fc.weight').data()).toEqual(before.get('fc.weight')?.data)
    expect([...(await model.get('bn.running_var').data())]).toEqual([0, 0, 0])
    expect(showWeightsReport(report).slice(-3)).toEqual([
      'missing     1: bn.bias',
      'unexpected  1: extra',
      'mismatched  1: fc.weight [5, 12] instead of [2, 12]',
    ])
  })

  it('renames by prefix, pattern and function, one after the other', async () => {
    const renamed = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [
        `model.${name.replace('bn.', 'norm_').replace('fc', 'head')}`,
        shape,
      ]),
    )
    const rename: LoadWeightsOptions['rename'] = [
      { prefix: 'model.' },
      ['norm_', 'bn.'],
      [/^head\b/, 'fc'],
      (name) => (name === 'junk' ? undefined : name),
    ]
    const report = await load(fileOf({ ...renamed, 'model.junk': [1] }), { rename })
    expect([report.loaded.length, report.ignored]).toEqual([8, ['model.junk']])
    expect(
      (await load(fileOf({ ...shapes, junk: [1] }), { rename: (name) => (name === 'junk' ? undefined : name) }))
        .ignored,
    ).toEqual(['junk'])
    await expect(load(fileOf(shapes), { rename: () => 'fc.bias' })).rejects.toThrow(
      "loadWeights: two tensors of w.pt get the name 'fc.bias'.\n  got       'conv.weight' and 'conv.bias'",
    )
    await expect(load(fileOf(shapes), { rename: { from: 'a' } as never })).rejects.toThrow(
      'a rule of rename makes no sense',
    )
  })

  it('finds out a prefix that all names have', async () => {
    const wrapped = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`net.inner.${name}`, shape]))
    const report = await load(fileOf(wrapped))
    expect(report.loaded.length).toBe(8)
    expect(report.notes).toEqual(["names without the prefix 'net.inner.' that all of them have in the file"])
    expect(showWeightsReport(report).at(-1)).toBe(
      "note        names without the prefix 'net.inner.' that all of them have in the file",
    )
  })

  it('lets shapes tell the layout where a file does not', async () => {
    const ours = { ...shapes, 'conv.weight': [2, 2, 2, 3], 'fc.weight': [12, 2] }
    const guess = { ...fileOf(ours), format: 'safetensors', layoutIsGuess: true }
    const report = await load(guess)
    expect([report.layout, report.permuted]).toEqual(['juanji', []])
    expect(report.notes).toEqual([
      'the file does not say how values lie: channels last, since the shapes of 2 tensors are so',
    ])
    expect((await load({ ...fileOf(shapes), layoutIsGuess: true })).layout).toBe('pytorch')
    expect((await load(fileOf(ours), { layout: 'juanji' })).permuted).toEqual([])
    expect(await messageOf(load(fileOf(ours)))).toContain(
      '2 of another shape: conv.weight [2, 2, 2, 3] instead of [3, 2, 2, 2]',
    )
    expect(await messageOf(load(guess, { layout: 'pytorch' }))).toContain('2 of another shape')

    const square = () => init(nn.sequential(nn.linear(4)), { input: [4] })
    const either = { ...fileOf({ '0.weight': [4, 4], '0.bias': [4] }), layoutIsGuess: true }
    expect((await load(either, {}, square())).notes).toEqual([
      "the file does not say how values lie, and shapes do not tell: channels first, as PyTorch's",
    ])
  })

  it("takes Keras's kernels of depthwise convolutions, whose values lie the same", async () => {
    const model = init(nn.sequential(['d', nn.depthwiseConv2d(2, { multiplier: 2, bias: false })]), {
      input: [4, 4, 3],
    })
    const values = Float32Array.from({ length: 24 }, (_, i) => i)
    const file = weightsInMemory([['d.weight', f32([2, 2, 3, 2], values)]], {
      path: 'm.h5',
      format: 'Keras',
      layout: 'keras',
    })
    await loadWeights(model, file)
    expect(await model.get('d.weight').data()).toEqual(values)
  })

  it('refuses options it does not know', async () => {
    await expect(load(fileOf(shapes), { strickt: false } as never)).rejects.toThrow("did you mean 'strict'?")
  })
})

describe('pytorchLayout', () => {
  it('leaves a flatten alone behind channels that were moved to the front', async () => {
    const input = [2, 3, 4]
    const plain = init(nn.sequential(nn.flatten(), ['fc', nn.linear(2)]), { input })
    const moved = init(nn.sequential(nn.permute([2, 0, 1]), nn.flatten(), ['fc', nn.linear(2)]), { input })
    const file = fileOf({
      'fc.weight': f32(
        [2, 24],
        Array.from({ length: 48 }, (_, i) => i),
      ),
      'fc.bias': [2],
    })
    await loadWeights(plain, file)
    await loadWeights(moved, file)
    const x = tensor(
      Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [1, ...input],
    )
    expect([...(await plain(x).data())].map((v) => v.toFixed(3))).toEqual(
      [...(await moved(x).data())].map((v) => v.toFixed(3)),
    )
    expect((await loadWeights(moved, file)).permuted[0].how).toBe('[out, in] to [in, out]')
  })

  it('says where features behind a flatten could not be followed', async () => {
    const net = nn.sequential(nn.flatten(), ['half', nn.slice([[0, 12]])], ['fc', nn.linear(2)])
    const file = fileOf({ 'fc.weight': [2, 12], 'fc.bias': [2] })
    const report = await loadWeights(init(net, { input: [2, 3, 4] }), file)
    expect(report.notes).toEqual([
      'features behind a flatten were not followed through half (slice): weights behind it may be out of order',
    ])
    const mean = nn.sequential(nn.flatten(), nn.reduce('mean', [0], { keepDims: true }), ['fc', nn.linear(2)])
    const means = await loadWeights(init(mean, { input: [2, 3, 4] }), fileOf({ 'fc.weight': [2, 1], 'fc.bias': [2] }))
    expect(means.notes).toEqual([])
  })

  it('knows kernels inside layers that do not say how values go through them', async () => {
    const inner = nn.sequential(['conv', nn.conv2d(3, 2)], ['fc', nn.linear(2)])
    const { route: _unknown, ...closed } = inner
    const model = init({ ...closed, type: 'closed' }, { input: [3, 3, 2] })
    const report = await loadWeights(
      model,
      fileOf({ 'conv.weight': [3, 2, 2, 2], 'conv.bias': [3], 'fc.weight': [2, 3], 'fc.bias': [2] }),
    )
    expect(report.permuted.map(({ name }) => name)).toEqual(['conv.weight', 'fc.weight'])
  })
})
