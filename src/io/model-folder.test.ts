import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import { compile, type Tensor, tensor } from '../tensor/index.ts'
import { errorText } from '../testing/error-text.ts'
import {
  claimModelFolder,
  clearModelFolder,
  hasCheckpoint,
  loadModel,
  nextRunFolder,
  saveModel,
  writeHistory,
} from './model-folder.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-model-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const net = () =>
  nn.sequential(
    ['stem', nn.sequential(nn.conv2d(3, 3, { padding: 1, bias: false }), nn.batchNorm(), nn.relu())],
    ['block', nn.residual(nn.conv2d(4, 3, { padding: 1 }), { shortcut: nn.conv2d(4, 1), activation: 'none' })],
    ['pool', nn.globalAvgPool()],
    ['head', nn.linear(2)],
  )
const makeModel = () => init(net(), { input: [6, 5, 1], seed: 7 }).eval()
const save = () =>
  saveModel(folder, {
    model: makeModel(),
    architecture: 'tiny',
    classes: ['cat', 'dog'],
    dtype: 'u8',
    data: { dataset: 'pets', counts: [3, 4] },
    history: [{ options: { seed: 7 } }, { event: 'epoch', epoch: 1 }],
    metrics: { testAccuracy: 0.75 },
  })

/** What loading says, with the folder's own path left out. */
async function message(): Promise<string> {
  try {
    await loadModel(folder)
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`.replaceAll(folder, 'DIR')
  }
  return 'no error'
}

describe('round trip', () => {
  test('a loaded model computes the same bits', async () => {
    await save()
    const loaded = await loadModel(folder)
    const x = tensor(
      Uint8Array.from({ length: 60 }, (_, i) => (37 * i) % 256),
      [2, 6, 5, 1],
    )
    expect(await loaded.model(x).data()).toEqual(await makeModel()(x).data())
    expect(loaded.model.training).toBe(false)
    expect({ ...loaded, model: undefined }).toEqual({
      model: undefined,
      architecture: 'tiny',
      classes: ['cat', 'dog'],
      dtype: 'u8',
      data: { dataset: 'pets', counts: [3, 4] },
      metrics: { testAccuracy: 0.75 },
    })
  })

  test('the folder holds four files that a person can read, and nothing else', async () => {
    await save()
    expect(await readdir(folder)).toEqual(['data.json', 'history.jsonl', 'model.json', 'weights.safetensors'])
    const { net: tree, ...rest } = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
    expect(rest).toMatchObject({
      format: 'juanji-model',
      version: 1,
      input: { shape: [6, 5, 1], dtype: 'u8', layout: 'channels-last' },
      classes: ['cat', 'dog'],
    })
    expect(tree.layers[3]).toEqual({ name: 'head', type: 'linear', options: { features: 2 } })
    expect(await readFile(join(folder, 'history.jsonl'), 'utf8')).toBe(
      '{"options":{"seed":7}}\n{"event":"epoch","epoch":1}\n',
    )
  })

  test('the order of layers with numbers and names for names is kept', async () => {
    const mixed = nn.sequential(['first', nn.conv2d(2, 3)], nn.relu(), nn.globalAvgPool(), ['last', nn.linear(2)])
    await saveModel(folder, { model: init(mixed, { input: [6, 5, 1] }) })
    expect((await loadModel(folder)).model.net.layers?.map(([name]) => name)).toEqual(['first', '1', '2', 'last'])
  })

  test('saving twice gives the same bytes', async () => {
    const bytes = async () =>
      Promise.all((await readdir(folder)).map(async (name) => (await readFile(join(folder, name))).toString('hex')))
    await save()
    const first = await bytes()
    await rm(folder, { recursive: true })
    await save()
    expect(await bytes()).toEqual(first)
  })
})

describe('where a model may go', () => {
  test('a folder with a model is not touched without force', async () => {
    await save()
    await expect(save()).rejects.toThrow(
      `${folder}: the folder already holds a model.\n` +
        '  expected  a new or empty folder\n' +
        '  fix       choose another folder, or replace what is there with --force (in code: force: true)',
    )
    await saveModel(folder, { model: makeModel() }, { force: true })
    expect((await loadModel(folder)).classes).toEqual([])
  })

  test('a file is no folder', async () => {
    const path = join(folder, 'file')
    await writeFile(path, '')
    await expect(claimModelFolder(path)).rejects.toThrow('this is a file, not a folder')
    await expect(claimModelFolder(join(path, 'below'))).rejects.toThrow(
      'cannot make this folder: a part of this path is a file',
    )
  })

  test('a claim leaves no trace when it is undone', async () => {
    const path = join(folder, 'new')
    const undo = await claimModelFolder(path)
    expect(await readdir(path)).toEqual([])
    await undo()
    expect(await readdir(folder)).toEqual([])
  })

  test('runs are numbered behind the last one', async () => {
    expect(await nextRunFolder(join(folder, 'runs'), 'digits')).toBe(join(folder, 'runs', 'digits-1'))
    for (const name of ['digits-1', 'digits-9', 'digits-x', 'mnist-30'])
      await mkdir(join(folder, 'runs', name), { recursive: true })
    expect(await nextRunFolder(join(folder, 'runs'), 'digits')).toBe(join(folder, 'runs', 'digits-10'))
  })
})

describe('damage', () => {
  test('no folder', async () => {
    await rm(folder, { recursive: true })
    expect(await message()).toBe(
      'ConfigError: DIR: cannot open the model: there is no such folder.\n' +
        '  expected  a folder with model.json and weights.safetensors\n' +
        '  fix       check the path, or train a model: juanji train digits',
    )
  })

  test('an unfinished run', async () => {
    await writeHistory(folder, [{ options: {} }])
    expect(await message()).toBe(
      'FormatError: DIR: the folder holds an unfinished run: there is no model.json.\n' +
        '  got       history.jsonl\n' +
        '  expected  model.json and weights.safetensors\n' +
        '  fix       let it end: juanji train --resume with this folder, or train again with --force',
    )
  })

  test('checkpoints are a run too, and clearing takes them and nothing else away', async () => {
    const checkpoints = join(folder, 'checkpoints')
    await mkdir(checkpoints)
    expect(await hasCheckpoint(folder)).toBe(false)
    for (const name of ['step-00000001.safetensors', 'best-00001.safetensors', 'best-00001.safetensors.x.tmp', 'mine'])
      await writeFile(join(checkpoints, name), '')
    expect(await hasCheckpoint(folder)).toBe(true)
    await expect(claimModelFolder(folder)).rejects.toThrow('the folder already holds an unfinished run')
    await clearModelFolder(folder)
    expect(await readdir(checkpoints)).toEqual(['mine'])
  })

  test('some other folder', async () => {
    await writeFile(join(folder, 'cat.jpg'), '')
    expect(await message()).toMatch(/^FormatError: DIR: this is no model folder/)
  })

  const edits: [name: string, edit: (json: Record<string, unknown>) => void, first: string, rest: string[]][] = [
    [
      'format',
      (j) => delete j.format,
      'field format is not what was expected',
      ['got       nothing', 'expected  "juanji-model"'],
    ],
    [
      'version',
      (j) => Object.assign(j, { version: 2 }),
      'field version is not what was expected',
      ['got       2', 'expected  at most 1', 'newer version'],
    ],
    [
      'shape',
      (j) => Object.assign(j.input as object, { shape: [28, '28', 1] }),
      'field input.shape[1] is not what was expected',
      ['got       "28"', 'a whole number of at least 1'],
    ],
    [
      'dtype',
      (j) => Object.assign(j.input as object, { dtype: 'f16' }),
      'field input.dtype is not what was expected',
      ['"u8" or "f32"'],
    ],
    [
      'classes',
      (j) => Object.assign(j, { classes: ['a', 'b', 'c'] }),
      'field classes is not what was expected',
      ['at most 2 names'],
    ],
    [
      'layer type',
      (j) => Object.assign(layer(j, 'head'), { type: 'liner' }),
      "there is no layer type 'liner'",
      ["did you mean 'linear'?"],
    ],
    ['no net', (j) => delete j.net, 'field net is not what was expected', ['an object']],
    [
      'a layer that is none',
      (j) => Object.assign(layer(j, 'block'), { layers: {} }),
      'field net.layers[1].layers is not what was expected',
      ['got       an object', 'expected  an array'],
    ],
    [
      'missing body',
      (j) => Object.assign(layer(j, 'block'), { layers: [] }),
      'the tree of layers in field net cannot be built',
      [],
    ],
    [
      'wrong option',
      (j) => Object.assign(layer(j, 'head'), { options: { features: 'two' } }),
      'the tree of layers in field net cannot be built',
      ['features makes no sense'],
    ],
    [
      'huge layer',
      (j) => Object.assign(layer(j, 'head'), { options: { features: 1e12 } }),
      'the layers have more parameters than the weights file',
      ['values in weights.safetensors'],
    ],
  ]

  function layer(json: Record<string, unknown>, name: string): object {
    const { layers } = (json as { net: { layers: { name: string }[] } }).net
    return layers.find((one) => one.name === name) as object
  }

  test.each(edits)('model.json: %s', async (_name, edit, first, rest) => {
    await save()
    const path = join(folder, 'model.json')
    const json = JSON.parse(await readFile(path, 'utf8'))
    edit(json)
    await writeFile(path, JSON.stringify(json))
    const text = await message()
    expect(text).toContain(`FormatError: DIR/model.json: ${first}`)
    for (const part of rest) expect(text).toContain(part)
  })

  test('model.json that is no JSON', async () => {
    await save()
    await writeFile(join(folder, 'model.json'), '{"format": ')
    expect(await message()).toMatch(/^FormatError: DIR\/model\.json: this is not JSON\./)
    await writeFile(join(folder, 'model.json'), '[1]')
    expect(await message()).toBe(
      'FormatError: DIR/model.json: the file is not what was expected.\n' +
        '  got       an array of 1\n' +
        '  expected  an object\n' +
        '  fix       save the model again with a program that keeps to the format',
    )
    await writeFile(join(folder, 'model.json'), Uint8Array.of(0xff, 0xfe))
    expect(await message()).toMatch(/^FormatError: DIR\/model\.json: this is not UTF-8 text/)
  })

  test('weights of another model', async () => {
    await save()
    const other = await mkdtemp(join(tmpdir(), 'juanji-other-'))
    const wide = nn.sequential(nn.conv2d(8, 3), nn.globalAvgPool(), nn.linear(20))
    await saveModel(other, { model: init(wide, { input: [6, 5, 1] }) })
    await writeFile(join(folder, 'weights.safetensors'), await readFile(join(other, 'weights.safetensors')))
    await rm(other, { recursive: true })
    expect(await message()).toMatch(
      /^FormatError: DIR\/weights\.safetensors: the weights are not those of this model\./,
    )
  })

  test('weights cut short', async () => {
    await save()
    const path = join(folder, 'weights.safetensors')
    await writeFile(path, (await readFile(path)).subarray(0, -4))
    expect(await message()).toMatch(
      /^FormatError: DIR\/weights\.safetensors: .*reaches beyond the end of the file \(at byte offset \d+\)/,
    )
  })
})

describe('what pictures are normalised with', () => {
  const picture = Uint8Array.of(0, 51, 255, 102, 204, 0)
  const colours = nn.sequential(nn.flatten())

  test('is applied to bytes on entry, goes into the folder and comes back', async () => {
    const model = init(colours, { input: [1, 2, 3] })
    model.pictures = { mean: [0.5, 0.2, 0], std: [0.5, 0.1, 2] }
    await saveModel(folder, { model, dtype: 'u8' })
    expect(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')).input).toMatchObject(model.pictures)
    const { model: loaded } = await loadModel(folder)
    const expected = [-1, 0, 0.5, -0.2, 6, 0]
    const y = await loaded(tensor(picture, [1, 1, 2, 3])).data()
    for (const [i, value] of y.entries()) expect(value).toBeCloseTo(expected[i], 5)
    // Numbers are what they are.
    expect(
      await loaded(
        tensor([
          [
            [
              [1, 2, 3],
              [4, 5, 6],
            ],
          ],
        ]),
      ).data(),
    ).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6))
  })

  test('may change, compiled or not', async () => {
    const model = init(colours, { input: [1, 2, 3] })
    const run = compile((x: Tensor) => model(x))
    const x = tensor(picture, [1, 1, 2, 3])
    const plain = await (await run(x)).data()
    expect(plain[2]).toBe(1)
    model.pictures = { mean: 0, std: 1 / 255 }
    expect((await (await run(x)).data())[2]).toBeCloseTo(255, 3)
  })

  test('has to fit', async () => {
    const model = init(colours, { input: [1, 2, 3] })
    model.pictures = { mean: [1, 2], std: 1 }
    expect(errorText(() => model(tensor(picture, [1, 1, 2, 3])))).toMatchInlineSnapshot(`
      "ConfigError: model.pictures.mean: this does not fit the pictures that the model takes.
        got       1, 2
        expected  one number, or 3: one a channel
        fix       correct what pictures are normalised with"
    `)
  })
})
