/** The command `convert`, and the others on files of other formats. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  init,
  loadModel,
  models,
  nn,
  openModel,
  openWeights,
  type StoredTensor,
  saveModel,
  tensor,
  toFloat32,
  type WeightsFile,
  writeWeights,
} from '../src/index.ts'
import { events, juanji } from './command-line.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-convert-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))
const at = (name: string) => join(folder, name)
/** What was printed, with the folder's own path left out. */
const plain = (text: string) => text.replaceAll(`${folder}/`, '')

const net = () =>
  nn.sequential(
    ['conv', nn.conv2d(3, 3, { padding: 1 })],
    ['bn', nn.batchNorm()],
    ['relu', nn.relu()],
    ['flatten', nn.flatten()],
    ['head', nn.linear(4)],
  )
const classes = ['ant', 'bee', 'cat', 'dog']
const pictures = tensor(
  Uint8Array.from({ length: 2 * 75 }, (_, i) => (i * 97) % 256),
  [2, 5, 5, 3],
)

async function trained(name = 'model') {
  const model = init(net(), { input: [5, 5, 3], seed: 5 }).eval()
  model.pictures = { mean: [0.4, 0.5, 0.6], std: 0.25 }
  await saveModel(at(name), { model, classes, dtype: 'u8', architecture: 'mine', data: { dataset: 'pets' } })
  return Array.from(await model(pictures).data())
}

function close(got: ArrayLike<number>, expected: readonly number[]) {
  expect(got.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 4)
}

describe('a trained model goes out and comes back', () => {
  it('as ONNX, with its classes', async () => {
    const expected = await trained()
    const out = await juanji(['convert', at('model'), at('model.onnx')])
    expect([out.code, out.err]).toEqual([0, ''])
    expect(plain(out.out).replace(/[\d.]+ kB/, 'SIZE')).toMatch(
      /^model: model folder\nmine, 5×5×3 to 4, 394 parameters\nwrote model\.onnx: SIZE\npictures have to be .*\n$/,
    )
    const back = await juanji(['convert', at('model.onnx'), at('back'), '--normalize', '0.4,0.5,0.6/0.25'])
    expect([back.code, back.err]).toEqual([0, ''])
    const { model, classes: names } = await loadModel(at('back'))
    expect(names).toEqual(classes)
    expect(model.parameters.map(({ name }) => name)).toEqual([
      'conv.weight',
      'conv.bias',
      'bn.weight',
      'bn.bias',
      'head.weight',
      'head.bias',
    ])
    close(await model(pictures).data(), expected)
  })

  it('as ONNX that takes bytes', async () => {
    const expected = await trained()
    expect((await juanji(['convert', at('model'), at('bytes.onnx'), '--preprocessing'])).code).toBe(0)
    const { model, imported } = await openModel(at('bytes.onnx'))
    close(await model(pictures).data(), expected)
    // The numbers are the model's, not parameters that training would change.
    expect(model.pictures).toEqual({ mean: [0.4, 0.5, 0.6], std: 0.25 })
    expect(model.parameters.map(({ name }) => name)).toContain('conv.weight')
    expect(model.parameterCount).toBe(394)
    expect(imported?.notes).toContain('bytes are normalised by the model itself: mean 0.4, 0.5, 0.6, deviation 0.25')
    const last = await juanji(['convert', at('model'), at('last.onnx'), '--preprocessing', '--channels-last'])
    expect(last.code).toBe(0)
    const other = await openModel(at('last.onnx'))
    close(await other.model(pictures).data(), expected)
    expect(other.model.pictures).toEqual({ mean: [0.4, 0.5, 0.6], std: 0.25 })
  })

  it('as safetensors, as PyTorch has them', async () => {
    await trained()
    const { code, out } = await juanji(['convert', at('model'), at('model.safetensors'), '--json'])
    expect(code).toBe(0)
    expect(events(out).at(-1)).toMatchObject({ event: 'done', format: 'safetensors', parameters: 394, classes })
    const file = await openWeights(at('model.safetensors'))
    expect([file.layout, file.tensors.get('conv.weight')?.shape, file.tensors.get('head.weight')?.shape]).toEqual([
      'pytorch',
      [3, 3, 3, 3],
      [4, 75],
    ])
    await file.close()
  })
})

describe('weights alone', () => {
  const weights = async (name = 'weights.safetensors') => {
    const model = init(models.resnet8({ classes: 3 }), { input: [32, 32, 3], seed: 4 }).eval()
    await writeWeights(at(name), model)
    return model
  }

  it('tell their network by their names', async () => {
    const model = await weights()
    const { code, out, err } = await juanji(['convert', at('weights.safetensors'), at('model')])
    expect([code, err]).toEqual([0, ''])
    expect(plain(out)).toMatch(/^weights\.safetensors: safetensors\n {2}loaded {6}\d+ tensors, .*\n {2}permuted .*\n/)
    expect(plain(out)).toContain('resnet8, 32×32×3 to 3, 77,587 parameters\n')
    const loaded = await loadModel(at('model'))
    expect(loaded.architecture).toBe('resnet8')
    const x = tensor(
      Float32Array.from({ length: 3072 }, (_, i) => Math.sin(i)),
      [1, 32, 32, 3],
    )
    expect(await loaded.model(x).data()).toEqual(await model(x).data())
  })

  it('go into the network that is named, with names that are said', async () => {
    const model = init(nn.sequential(['backbone', models.resnet8({ classes: 3 })]), { input: [32, 32, 3] })
    await writeWeights(at('named.safetensors'), model)
    const argv = ['summary', at('named.safetensors'), '--arch', 'resnet8', '--classes', '3', '--rename', 'backbone.=']
    const { code, out, err } = await juanji(argv)
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('77,587 parameters')
    expect(out).toContain('weights read from safetensors')
  })

  it('that do not fit are refused with lists, or loaded as far as they fit', async () => {
    await weights()
    const argv = ['convert', at('weights.safetensors'), at('model'), '--arch', 'resnet20']
    const strict = await juanji(argv)
    expect(strict.code).toBe(1)
    expect(plain(strict.err)).toMatch(/^FormatError: weights\.safetensors: .*\n {2}got .*missing.*\n/)
    expect(await readdir(folder)).toEqual(['weights.safetensors'])
    const loose = await juanji([...argv, '--loose'])
    expect([loose.code, loose.err]).toEqual([0, ''])
    expect(loose.out).toContain('missing')
  })

  it('of a network that is not known keep their names', async () => {
    const model = init(net(), { input: [5, 5, 3], seed: 5 })
    await writeWeights(at('mine.safetensors'), model)
    const { code, out } = await juanji(['convert', at('mine.safetensors'), at('copy.safetensors')])
    expect(code).toBe(0)
    expect(plain(out).replace(/[\d.]+ kB/, 'SIZE')).toBe(
      'mine.safetensors: safetensors, 8 tensors of no network known here\n' +
        'wrote copy.safetensors: SIZE, names and layout as they were\n',
    )
    const refused = await juanji(['summary', at('mine.safetensors')])
    expect(refused.code).toBe(2)
    expect(plain(refused.err)).toContain('they are of no network that is known here')
  })
})

describe('weights that are copied', () => {
  const copied = async (...more: string[]) => {
    await writeWeights(at('mine.safetensors'), init(net(), { input: [5, 5, 3], seed: 5 }))
    return juanji(['convert', at('mine.safetensors'), at('copy.safetensors'), ...more])
  }

  it('get the names and the element type that are asked for', async () => {
    const { code, out } = await copied('--dtype', 'f16', '--rename', 'head.=fc.')
    expect([code, plain(out).split(', ').at(-1)]).toEqual([0, 'layout as it was\n'])
    const [file, before] = [await openWeights(at('copy.safetensors')), await openWeights(at('mine.safetensors'))]
    expect([...file.tensors.keys()].filter((name) => name.startsWith('fc'))).toEqual(['fc.bias', 'fc.weight'])
    expect(file.tensors.get('fc.weight')?.dtype).toBe('F16')
    const values = async (name: string, of: WeightsFile) => {
      const tensor = of.tensors.get(name) as StoredTensor
      return toFloat32({ ...tensor, data: await tensor.read() })
    }
    const [half, whole] = [await values('fc.weight', file), await values('head.weight', before)]
    for (const [i, value] of whole.entries())
      expect(Math.abs(half[i] - value)).toBeLessThan(1e-3 * Math.abs(value) + 1e-7)
    await file.close()
    await before.close()
  })

  it('refuse what is about a network', async () => {
    const { code, err } = await copied('--classes', '7')
    expect([code, plain(err)]).toEqual([
      2,
      `ConfigError: --classes: these weights are of no network that is known here, so that they are copied as they are.
  got       --classes with mine.safetensors
  expected  it together with --arch, or with weights of a known network
  fix       leave --classes out, or name the network with --arch
`,
    ])
    expect(existsSync(at('copy.safetensors'))).toBe(false)
  })

  it('stop at Ctrl-C and leave nothing', async () => {
    await writeWeights(at('mine.safetensors'), init(net(), { input: [5, 5, 3], seed: 5 }))
    let pressed = false
    const { code, err } = await juanji(['convert', at('mine.safetensors'), at('copy.safetensors')], {
      watch(written, pressCtrlC) {
        if (pressed || !written.includes('no network known here')) return
        pressed = true
        pressCtrlC()
      },
    })
    expect([code, err]).toEqual([130, 'Stopping after this step. Ctrl-C again quits at once.\n'])
    expect(await readdir(folder)).toEqual(['mine.safetensors'])
  })
})

it('weights of which nothing fits are no model', async () => {
  await writeWeights(at('other.safetensors'), init(nn.linear(3), { input: [2] }))
  const { code, err } = await juanji(['convert', at('other.safetensors'), at('model'), '--arch', 'lenet5', '--loose'])
  expect([code, plain(err)]).toEqual([
    1,
    `FormatError: other.safetensors: not one of its tensors fits the network.
  got       bias, weight, …
  expected  conv1.weight, conv1.bias, conv2.weight, …
  fix       name the network that they belong to, or say what is called otherwise
`,
  ])
  expect(await readdir(folder)).toEqual(['other.safetensors'])
})

it('a model that replaces a run takes none of it over', async () => {
  await trained()
  await trained('run')
  await writeFile(at('run/history.jsonl'), '{}\n')
  await mkdir(at('run/checkpoints'))
  await writeFile(at('run/checkpoints/step-00000001.safetensors'), '')
  await writeFile(at('run/notes.txt'), 'mine')
  expect((await juanji(['convert', at('model'), at('run'), '--force'])).code).toBe(0)
  expect((await readdir(at('run'))).sort()).toEqual(['data.json', 'model.json', 'notes.txt', 'weights.safetensors'])
})

it('says what has to be done to pictures, where the file does not', async () => {
  await trained()
  const line = 'pictures have to be normalised before: mean 0.4, 0.5, 0.6, deviation 0.25 of values in 0 … 1'
  const [onnx, bytes] = [
    await juanji(['convert', at('model'), at('a.onnx')]),
    await juanji(['convert', at('model'), at('b.onnx'), '--preprocessing']),
  ]
  expect(onnx.out).toContain(`${line}; with --preprocessing the graph does it\n`)
  expect(bytes.out).not.toContain('pictures have')
  expect((await juanji(['convert', at('model'), at('a.safetensors')])).out).toContain(`${line}\n`)
})

describe('wrong usage', () => {
  it.each<[string[], string]>([
    [
      ['convert', 'model', 'model.h5'],
      `ConfigError: model.h5: this format is not written.
  got       .h5
  expected  .onnx, .safetensors, or a name without an ending for a model folder
  fix       rename it: model.onnx
`,
    ],
    [
      ['convert', 'model', 'other', '--opset', '17'],
      `ConfigError: --opset: this option means nothing to what is written.
  expected  it together with a name that ends in .onnx
  fix       leave --opset out
`,
    ],
    [
      ['convert', 'model', 'there.onnx'],
      `ConfigError: there.onnx: there is such a file already.
  expected  a new name
  fix       choose another name, or replace it with --force
`,
    ],
    [
      ['convert', 'model', 'other.onnx', '--opset', '99'],
      `ConfigError: --opset: this version of the operators is not written.
  got       99
  expected  13 to 23
  fix       leave --opset out
`,
    ],
    [
      ['convert', 'model', 'nowhere/other.onnx'],
      `ConfigError: nowhere/other.onnx: there is no folder to write it into.
  got       nowhere
  expected  a folder that exists
  fix       make the folder, or choose another name
`,
    ],
    [
      ['convert', 'model', 'folder.onnx', '--force'],
      `ConfigError: folder.onnx: this is a folder.
  expected  a name for a file
  fix       choose another name
`,
    ],
    [
      ['convert', 'model', 'other', '--normalize', '0.1,0.2/0.3,0.4'],
      `ConfigError: --normalize: there are not as many numbers as pictures have channels.
  got       2 means and 2 deviations
  expected  one number each, or 3
  fix       correct the numbers
`,
    ],
    [
      ['convert', 'model', 'other.safetensors', '--labels', 'names.txt'],
      `ConfigError: --labels: a file of weights has no place for names of classes.
  expected  a model folder or ONNX to write
  fix       leave --labels out
`,
    ],
    [
      ['convert', 'nothing.onnx', 'other'],
      `ConfigError: nothing.onnx: there is no such file or folder.
  expected  a model folder, or a file that ends in .onnx, .keras, .h5, .hdf5, model.json, .safetensors, .safetensors.index.json, .pt, .pth, .th, .bin, .ckpt, .weights.h5
  fix       check the path, or train a model: juanji train digits
`,
    ],
    [
      ['convert', 'model', 'other', '--arch', 'resnet8'],
      `ConfigError: --arch: a trained model has its own.
  got       --arch with model
  expected  this option together with a file of weights alone
  fix       leave --arch out
`,
    ],
    [
      ['predict', 'model', 'a.png', '--labels', 'names.txt'],
      `ConfigError: names.txt: there are not as many names as the model has outputs.
  got       2 names
  expected  4, the outputs of model
  fix       name the list of classes that the model was trained on
`,
    ],
  ])('%j', async (argv, text) => {
    await trained()
    await writeFile(at('there.onnx'), 'x')
    await mkdir(at('folder.onnx'))
    await writeFile(at('names.txt'), 'n01440764 tench\nn01443537 goldfish\n')
    const inside = argv.map((word) =>
      /^(model|other|there|nothing|nowhere|folder|names|a\.)/.test(word) ? at(word) : word,
    )
    const { code, out, err } = await juanji(inside)
    expect([code, out]).toEqual([2, ''])
    expect(plain(err)).toBe(text)
    expect(existsSync(at('other'))).toBe(false)
  })

  it.each(['0.5', 'x/1', '0/0', '1/2/3', '0.5/-1', 'image'])('--normalize %s', async (how) => {
    const { code, err } = await juanji(['summary', at('model'), '--normalize', how])
    expect([code, err.split('\n')[0]]).toEqual([
      2,
      `error: option '--normalize <how>' argument '${how}' is invalid. expected unit, raw, signed, imagenet, or mean and deviation such as 0.1307/0.3081.`,
    ])
  })
})

it('a folder that is no model is left as it is', async () => {
  await mkdir(at('empty'))
  const { code, err } = await juanji(['convert', at('empty'), at('model.onnx')])
  expect(code).toBe(1)
  expect(plain(err)).toContain('empty: this is no model folder: there is no model.json')
  expect(await readdir(folder)).toEqual(['empty'])
})
