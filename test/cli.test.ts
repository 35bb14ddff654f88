import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { backendNames } from '../src/engine/index.ts'
import { events, juanji, type Outcome } from './command-line.ts'
import { type Answer, send, serve, type TestServer } from './http-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-cli-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const more = '(juanji --help lists commands and options; so does --help behind a command)\n'

describe('wrong usage ends with 2 before any work', () => {
  const cases: [argv: string[], err: string][] = [
    [['trian', 'digits'], `error: unknown command 'trian'\n(Did you mean train?)\n${more}`],
    [
      ['train'],
      'ConfigError: train: it is not said what to train on.\n  expected  a folder of pictures with one folder for each class, or digits, mnist, fashion-mnist, cifar10\n  fix       for instance juanji train ./photos, or juanji train digits; a stopped run goes on with --resume FOLDER\n',
    ],
    [
      ['train', '--resume', 'no/such/run'],
      'ConfigError: no/such/run: there is no run to resume.\n  got       no such folder\n  expected  the folder of a run of juanji train\n  fix       check the path, or begin a new run\n',
    ],
    [
      ['train', 'digits', '--resume-anyway'],
      'ConfigError: --resume-anyway: it is not said what to resume.\n  expected  --resume FOLDER beside it\n  fix       add --resume and the folder of the run\n',
    ],
    [
      ['train', 'digits', '--validation', '0', '--early-stopping', '2'],
      'ConfigError: fit: earlyStopping needs held-out data.\n  got       no validation data\n  expected  data to see progress by\n  fix       hold some out (validation: 0.1), or leave earlyStopping out\n',
    ],
    [
      ['train', '--resume', 'run', '--out', 'other'],
      'ConfigError: --resume: a resumed run goes on in its own folder.\n  got       --out other\n  expected  --resume without --out and --force\n  fix       leave them out, or begin a new run without --resume\n',
    ],
    [
      ['train', 'digits', '--augment', 'shft=0.1'],
      "ConfigError: augment: unknown option 'shft'.\n  expected  shift, crop, flip, rotate, scale, shear, brightness, contrast, saturation, hue, grey, cutOut, mixUp, cutMix, randAugment, fill\n  fix       did you mean 'shift'?\n",
    ],
    [
      ['train', 'digits', '--augment', 'saturation=0.2'],
      'ConfigError: augment: saturation needs pictures in colour.\n  got       samples of shape [28, 28, 1]\n  expected  [height, width, 3]\n  fix       leave saturation out; brightness and contrast work on grey pictures\n',
    ],
    [
      ['train', 'digits', '--input-size', '64'],
      'ConfigError: --input-size: the pictures of digits have one size.\n  got       64\n  expected  28\n  fix       leave --input-size out: it is for folders of pictures\n',
    ],
    [
      ['train', 'digits', '--limit', '100', '--batch-size', '99'],
      'ConfigError: fit: the batch is larger than the data.\n  got       batches of 99, 90 samples to learn from\n  expected  at most 90\n  fix       make the batch smaller: several updates an epoch learn more\n',
    ],
    [['train', 'digits', '--epoch', '3'], `error: unknown option '--epoch'\n(Did you mean --epochs?)\n${more}`],
    [
      ['train', 'digits', '--batch-size', '0'],
      `error: option '--batch-size <n>' argument '0' is invalid. expected a whole number of at least 1.\n${more}`,
    ],
    [
      ['train', 'digits', '--lr', 'fast'],
      `error: option '--lr <rate>' argument 'fast' is invalid. expected a number above 0.\n${more}`,
    ],
    [
      ['train', 'digit'],
      "ConfigError: data set: there is no data set or folder 'digit'.\n  expected  a folder of pictures with one folder for each class, or digits, mnist, fashion-mnist, cifar10\n  fix       did you mean 'digits'?\n",
    ],
    [
      ['train', 'digits', '--arch', 'simplecn'],
      "ConfigError: architecture: there is no architecture 'simplecn'.\n  expected  simpleCnn, lenet5, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, resnet20B, resnet32B, resnet44B, resnet56B, resnet110B, resnet18, resnet34, resnet50, mobileNetV1, mobileNetV2, squeezeNet, darknetTiny, mlperfResnet8\n  fix       did you mean 'simpleCnn'?\n",
    ],
    [
      ['train', 'digits', '--optimizer', 'adamm'],
      "ConfigError: optimizer: there is no optimizer 'adamm'.\n  expected  adam, adamw, sgd\n  fix       did you mean 'adam'?\n",
    ],
    [
      ['train', 'digits', '--precision', 'bf61'],
      "ConfigError: precision: there is no precision 'bf61'.\n  expected  f32, bf16\n  fix       did you mean 'bf16'?\n",
    ],
    [
      ['train', 'digits', '--backend', 'wsm'],
      "ConfigError: backend: there is no backend 'wsm'.\n  expected  native, wasm, interpret\n  fix       did you mean 'wasm'?\n",
    ],
    [
      ['train', 'digits', '--data', 'x'],
      'ConfigError: --data: the digits are generated, they are read from no folder.\n  got       --data x\n  expected  no --data for digits\n  fix       leave --data out, or name another data set: juanji train mnist --data DIR\n',
    ],
    [
      ['bench', '--work', 'conv3x3-64@33'],
      "ConfigError: work: there is no work 'conv3x3-64@33'.\n  expected  conv3x3-64@32, conv3x3-128@16, conv3x3-256@8, conv3x3-512@4, conv3x3-3to64@32, conv3x3-64@56, conv1x1-256to64@56, conv7x7s2-3to64@224, depthwise3x3-128@32, depthwise7x7-96@56, simple-cnn-28-b64, resnet20-cifar-b128, resnet18-cifar-b32\n  fix       did you mean 'conv3x3-64@32'?\n",
    ],
    [
      ['bench', '--set', 'resnet-50'],
      "ConfigError: set: there is no set 'resnet-50'.\n  expected  resnet18, resnet50, mobilenet-v2, convnext-t, efficientnet-b0\n  fix       did you mean 'resnet50'?\n",
    ],
    [
      ['bench', '--set', 'resnet50', '--work', 'b8-1x1s1-64to64@56'],
      'ConfigError: --work: a set is measured as a whole.\n  got       --work b8-1x1s1-64to64@56 --set resnet50\n  expected  one of the two\n  fix       leave --set out to measure one layer\n',
    ],
    [
      ['explain', 'convolution'],
      "ConfigError: explanation: there is no explanation 'convolution'.\n  expected  conv, simpleCnn, lenet5, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, resnet20B, resnet32B, resnet44B, resnet56B, resnet110B, resnet18, resnet34, resnet50, mobileNetV1, mobileNetV2, squeezeNet, darknetTiny, mlperfResnet8\n  fix       use one of: conv, simpleCnn, lenet5, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, resnet20B, resnet32B, resnet44B, resnet56B, resnet110B, resnet18, resnet34, resnet50, mobileNetV1, mobileNetV2, squeezeNet, darknetTiny, mlperfResnet8\n",
    ],
    [
      ['explain', 'conv', '--filters', '8'],
      'ConfigError: --input: the shape of the batch is needed.\n  got       nothing\n  expected  whole numbers such as 32x56x56x64 (batch, height, width, channels)\n  fix       give it as --input 32x56x56x64\n',
    ],
    [
      ['explain', 'conv', '--input', '2x8x8x4', '--kernel', '1 2; 3 4'],
      'ConfigError: --kernel: these are no kernel sizes.\n  got       1 2; 3 4\n  expected  whole numbers such as 1,3,5,7\n  fix       leave out --filters and give --input as rows of numbers to see a kernel at work\n',
    ],
    [
      ['explain', 'conv', '--training'],
      'ConfigError: --training: this option means nothing to explain conv.\n  expected  it together with explain with a network\n  fix       leave --training out\n',
    ],
    [
      ['explain', 'lenet5', '--kernel', '3'],
      'ConfigError: --kernel: this option means nothing to explain lenet5.\n  expected  it together with explain conv\n  fix       leave --kernel out\n',
    ],
    [
      ['explain', 'lenet5', '--input', '1 2; 3 4'],
      'ConfigError: --input: the shape of a sample is needed.\n  got       2 rows of numbers\n  expected  whole numbers such as 32x32x3\n  fix       give it as --input 32x32x3\n',
    ],
    [
      ['doctor', '--backend', 'wsam'],
      `ConfigError: backend: there is no backend 'wsam'.\n  expected  ${backendNames.join(', ')}\n  fix       did you mean 'wasm'?\n`,
    ],
    [
      ['explain', 'conv', '--input', '1 2; 3'],
      `error: option '--input <numbers>' argument '1 2; 3' is invalid. expected rows of equal length.\n${more}`,
    ],
    [
      ['evaluate', 'no/such/folder'],
      'ConfigError: no/such/folder: there is no such file or folder.\n  expected  a model folder, or a file that ends in .onnx, .keras, .h5, .hdf5, model.json, .safetensors, .safetensors.index.json, .pt, .pth, .th, .bin, .ckpt, .weights.h5\n  fix       check the path, or train a model: juanji train digits\n',
    ],
    [
      ['summary', 'resnet9'],
      "ConfigError: model or architecture: there is no model or architecture 'resnet9'.\n  expected  simpleCnn, lenet5, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, resnet20B, resnet32B, resnet44B, resnet56B, resnet110B, resnet18, resnet34, resnet50, mobileNetV1, mobileNetV2, squeezeNet, darknetTiny, mlperfResnet8\n  fix       did you mean 'resnet8'?\n",
    ],
  ]

  test.each(cases)('%j', async (argv, err) => {
    expect(await juanji(argv)).toEqual({ code: 2, out: '', err })
  })

  test('mnist without its files', async () => {
    const { code, out, err } = await juanji(['train', 'mnist', '--data', folder, '--out', join(folder, 'model')])
    expect([code, out]).toEqual([2, ''])
    expect(err).toBe(
      `ConfigError: ${folder}: MNIST's files are not in this folder.\n` +
        '  got       none of them\n' +
        '  expected  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; each plain or as .gz\n' +
        '  fix       leave the folder out to have them downloaded, or get them from https://ossci-datasets.s3.amazonaws.com/mnist/\n',
    )
    expect(await readdir(folder)).toEqual([])
  })

  test('an output folder that holds a model', async () => {
    await writeFile(join(folder, 'model.json'), '{}')
    expect(await juanji(['train', 'digits', '--out', folder])).toEqual({
      code: 2,
      out: '',
      err:
        `ConfigError: ${folder}: the folder already holds a model.\n` +
        '  expected  a new or empty folder\n' +
        '  fix       choose another folder, or replace what is there with --force (in code: force: true)\n',
    })
    expect(await readFile(join(folder, 'model.json'), 'utf8')).toBe('{}')
  })

  test('an output folder that cannot be made', async () => {
    await writeFile(join(folder, 'file'), '')
    expect(await juanji(['train', 'digits', '--out', join(folder, 'file', 'model')])).toEqual({
      code: 2,
      out: '',
      err:
        `ConfigError: ${join(folder, 'file', 'model')}: cannot make this folder: a part of this path is a file, not a folder.\n` +
        '  fix       name a folder\n',
    })
  })
})

describe('data that are downloaded', () => {
  let server: TestServer | undefined
  const part = () => join(folder, 'cache', 'images', 'mnist')
  const file = new Uint8Array(5_000_000)

  async function mirror(answer: Answer): Promise<void> {
    server = await serve(answer)
    vi.stubEnv('JUANJI_MIRROR', server.url)
    vi.stubEnv('JUANJI_CACHE', join(folder, 'cache'))
    vi.stubEnv('JUANJI_DATA', undefined)
    for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '*')
  }
  afterEach(async () => {
    vi.unstubAllEnvs()
    await server?.close()
  })

  test('that are not to be had are no wrong usage', async () => {
    await mirror((_, response, turn) => response.writeHead(turn === 0 ? 503 : 404).end())
    const { code, out, err } = await juanji(['train', 'mnist', '--out', join(folder, 'model')])
    expect([code, out]).toEqual([1, ''])
    expect(err.replaceAll(server?.url ?? '', 'SERVER')).toBe(
      'train-images-idx3-ubyte.gz: the server answers with status 503 (Service Unavailable). Trying again in 1.0 s.\n' +
        'UnsupportedError: SERVER/mnist/train-images-idx3-ubyte.gz: train-images-idx3-ubyte.gz cannot be downloaded: the server answers with status 404 (Not Found).\n' +
        '  got       2 tries without success\n' +
        '  fix       check the address; or set JUANJI_MIRROR (in code { mirror }) to the address of a copy, or get the files by other means and name their folder (--data DIR, or { data } in code)\n',
    )
    expect(await readdir(folder)).toEqual(['cache'])
  })

  test('show how far they are; Ctrl-C keeps what has come', async () => {
    await mirror((request, response) => send(request, response, file, { stallAfter: 2_500_000 }))
    let pressed = false
    const { code, out, err } = await juanji(['train', 'mnist'], {
      terminal: true,
      columns: 100,
      watch(written, pressCtrlC) {
        if (pressed || !written.includes(' of 5.0 MB')) return
        pressed = true
        pressCtrlC()
      },
    })
    expect([code, out]).toEqual([130, ''])
    expect(err).toMatch(
      /^\rtrain-images-idx3-ubyte\.gz {2}[█▏▎▍▌▋▊▉░]+ {2}\d+ % {2}[\d.]+ s left {2}[\d.]+ [kM]B\/s {2}[\d.]+ [kM]B of 5\.0 MB/,
    )
    expect(await readdir(part())).toEqual(['train-images-idx3-ubyte.gz.part', 'train-images-idx3-ubyte.gz.part.json'])
  })

  test('are trained on', async (context) => {
    const root = process.env.JUANJI_DATA
    if (root === undefined) context.skip('JUANJI_DATA is not set')
    const read = (url = '') => readFile(join(root ?? '', 'images', url))
    await mirror(async (request, response) => send(request, response, await read(request.url)))
    const argv = ['train', 'mnist', '--limit', '100', '--epochs', '1', '--out', join(folder, 'model')]
    const { code, out, err } = await juanji([...argv, '--json'])
    expect([code, err]).toEqual([0, ''])
    const lines = events(out)
    expect(lines.map(({ event }) => event)).toEqual([
      ...Array(4).fill('download'),
      'start',
      'epoch',
      'checkpoint',
      'done',
    ])
    const { bytes } = await read('mnist/train-labels-idx1-ubyte.gz').then(({ length }) => ({ bytes: length }))
    const path = join(part(), 'train-labels-idx1-ubyte.gz')
    expect(lines[1]).toEqual({ event: 'download', dataset: 'mnist', file: 'train-labels-idx1-ubyte.gz', bytes, path })

    await rm(path)
    const again = await juanji(['evaluate', join(folder, 'model'), '--limit', '100'])
    expect([again.code, again.err]).toEqual([0, `Downloaded ${path} (${(bytes / 1000).toFixed(1)} kB).\n`])
    expect(again.out).toMatch(/^Test accuracy: /)
  })
})

describe('help', () => {
  test.each(['train', 'evaluate', 'predict', 'summary', 'explain', 'convert', 'bench', 'doctor', 'completion'])(
    '%s --help has an example',
    async (name) => {
      const { code, out, err } = await juanji([name, '--help'])
      expect([code, err]).toEqual([0, ''])
      expect(out).toMatch(new RegExp(`^Usage: juanji ${name}`))
      expect(out).toMatch(new RegExp(`Examples?:\\n {2}\\$ juanji ${name}`))
      expect(out).toContain('--json')
    },
  )

  test('--version', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    expect(await juanji(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })
})

describe('a model', () => {
  let trained: string
  let outcome: Outcome
  beforeAll(async () => {
    trained = await mkdtemp(join(tmpdir(), 'juanji-trained-'))
    const model = join(trained, 'model')
    const argv = ['train', 'digits', '--limit', '300', '--epochs', '2', '--batch-size', '32', '--out', model, '--json']
    outcome = await juanji(argv)
  })
  afterAll(() => rm(trained, { recursive: true }))

  test('training says what happens, one event a line', () => {
    expect([outcome.code, outcome.err]).toEqual([0, ''])
    const all = events(outcome.out)
    expect(all.map(({ event }) => event)).toEqual(['start', 'epoch', 'checkpoint', 'epoch', 'checkpoint', 'done'])
    const [start, first, , second, , done] = all
    expect(start).toMatchObject({
      event: 'start',
      dataset: 'digits',
      trainSamples: 270,
      validationSamples: 30,
      epochs: 2,
    })
    for (const [i, epoch] of [first, second].entries()) {
      expect(epoch).toMatchObject({ event: 'epoch', epoch: i + 1 })
      for (const name of ['loss', 'accuracy', 'validationAccuracy', 'samplesPerSecond'])
        expect(epoch[name]).toBeTypeOf('number')
    }
    expect(second.loss).toBeLessThan(first.loss)
    expect(done).toMatchObject({ event: 'done', loss: second.loss, testSamples: 300, model: join(trained, 'model') })
    expect(done.testAccuracy).toBeGreaterThan(0.1)
    expect(done.testLoss).toBeGreaterThan(0)
  })

  test('the folder tells how it came about', async () => {
    const model = join(trained, 'model')
    expect(await readdir(model)).toEqual([
      'checkpoints',
      'data.json',
      'history.jsonl',
      'model.json',
      'weights.safetensors',
    ])
    const [head, ...epochs] = events(await readFile(join(model, 'history.jsonl'), 'utf8'))
    expect(head.options).toMatchObject({ dataset: 'digits', epochs: 2, batchSize: 32, seed: 1 })
    expect(head.machine.backend).toMatch(/^wasm/)
    expect(epochs.map((epoch) => epoch.epoch)).toEqual([1, 2])
    expect(JSON.parse(await readFile(join(model, 'data.json'), 'utf8'))).toMatchObject({
      dataset: 'digits',
      limit: 300,
    })
  })

  test('the same seed gives the same bits, with any number of threads', async () => {
    const again = async (threads: string) => {
      const argv = [
        'train',
        'digits',
        '--limit',
        '300',
        '--epochs',
        '2',
        '--batch-size',
        '32',
        '--threads',
        threads,
        '--json',
      ]
      const { out } = await juanji([...argv, '--out', join(folder, threads)])
      const { loss, testLoss } = events(out).at(-1)
      return { loss, testLoss }
    }
    const { loss, testLoss } = events(outcome.out).at(-1)
    for (const threads of ['1', '3']) expect(await again(threads)).toEqual({ loss, testLoss })
  })

  test('evaluate measures what training measured', async () => {
    const { code, out } = await juanji(['evaluate', join(trained, 'model'), '--limit', '300', '--json'])
    const { testLoss, testAccuracy } = events(outcome.out).at(-1)
    expect(code).toBe(0)
    expect(events(out)).toMatchObject([{ event: 'done', dataset: 'digits', testLoss, testAccuracy, testSamples: 300 }])
  })

  test('predict names the classes of pictures', async () => {
    const pixels = Buffer.from('R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=', 'base64')
    await writeFile(join(folder, 'dot.gif'), pixels)
    const { code, out } = await juanji([
      'predict',
      join(trained, 'model'),
      join(folder, 'dot.gif'),
      '--top',
      '2',
      '--json',
    ])
    expect(code).toBe(0)
    const [event] = events(out)
    expect(event).toMatchObject({ event: 'prediction', file: join(folder, 'dot.gif') })
    expect(event.top).toHaveLength(2)
    expect(event.top[0]).toEqual({ class: event.class, probability: event.probability })
    expect(event.top[0].probability).toBeGreaterThanOrEqual(event.top[1].probability)
  })

  test('a picture that is not one', async () => {
    await writeFile(join(folder, 'note.png'), 'hello world')
    const { code, out, err } = await juanji(['predict', join(trained, 'model'), join(folder, 'note.png')])
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/note\.png: not a picture that can be decoded: /)
    expect(err).toContain('  got       11 bytes that begin with "hello wo" (text)\n')
  })

  test('summary shows its layers', async () => {
    const { code, out } = await juanji(['summary', join(trained, 'model')])
    expect(code).toBe(0)
    expect(out).toContain('2      conv2d     24×24×64      18,496     10,616,832  144 KiB     5\n')
    expect(out).toContain('\n1,199,882 parameters (1.20 M)\n11,992,448 multiply-adds (11.99 M) a sample\n')
    expect(out).toContain('\nclasses: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\ntrained on digits, test accuracy ')
  })

  test('summary folds blocks, and takes shape, classes and batch size', async () => {
    const argv = ['summary', 'resnet18', '--input', '32,32,3', '--classes', '7', '--depth', '1', '--batch-size', '2']
    const { code, out } = await juanji([...argv, '--json'])
    expect(code).toBe(0)
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const layers = events.slice(0, -1)
    expect(layers.map(({ path }) => path)).toEqual('conv1 bn1 relu layer1 layer2 layer3 layer4 avgpool fc'.split(' '))
    expect(layers[3]).toEqual({
      event: 'layer',
      path: 'layer1',
      type: 'sequential',
      input: [32, 32, 64],
      output: [32, 32, 64],
      parameters: 147_968,
      trainable: 147_968,
      states: 512,
      multiplyAdds: 151_257_088,
      receptiveField: 11,
      activationBytes: 2_097_152,
    })
    expect(events.at(-1)).toEqual({
      event: 'done',
      model: 'resnet18',
      input: [32, 32, 3],
      output: [7],
      parameters: 11_172_423,
      trainable: 11_172_423,
      states: 9_600,
      multiplyAdds: 556_035_584,
      activationBytes: 4_917_276,
      largest: { path: 'layer4.0.conv2', parameters: 2_359_296 },
      training: {
        batchSize: 2,
        weights: 44_728_092,
        gradients: 44_689_692,
        optimizer: 89_379_384,
        activations: 10_383_416,
        total: 189_180_584,
      },
    })
  })

  test('summary of a trained model takes no shape', async () => {
    const model = join(trained, 'model')
    expect(await juanji(['summary', model, '--input', '32,32,3'])).toEqual({
      code: 2,
      out: '',
      err:
        'ConfigError: --input: a trained model has its own.\n' +
        `  got       --input with ${model}\n` +
        '  expected  this option together with an architecture, or a file that leaves extents open\n' +
        '  fix       leave --input out\n',
    })
  })

  test('--force replaces the model and leaves what else is in the folder', async () => {
    const model = join(folder, 'model')
    await mkdir(model)
    await writeFile(join(model, 'model.json'), 'old')
    await writeFile(join(model, 'notes.txt'), 'mine')
    const { code } = await juanji(['train', 'digits', '--limit', '100', '--epochs', '1', '--out', model, '--force'])
    expect(code).toBe(0)
    expect(JSON.parse(await readFile(join(model, 'model.json'), 'utf8')).format).toBe('juanji-model')
    expect(await readFile(join(model, 'notes.txt'), 'utf8')).toBe('mine')
  })
})

describe('training that ends otherwise', () => {
  const short = ['train', 'digits', '--limit', '200', '--epochs', '50', '--batch-size', '20']

  test('Ctrl-C writes a checkpoint and ends with 130; the run goes on from there', async () => {
    const out = join(folder, 'run')
    let pressed = false
    const outcome = await juanji([...short, '--out', out], {
      watch(written, pressCtrlC) {
        if (pressed || !written.includes('epoch 2/50   loss')) return
        pressed = true
        pressCtrlC()
      },
    })
    expect(outcome.code).toBe(130)
    expect(outcome.err).toBe('Stopping after this step. Ctrl-C again quits at once.\n')
    expect(outcome.out).toMatch(/Stopped, nothing is lost\. To go on: (npx )?juanji train --resume .*run\n/)
    expect(await readdir(out)).toEqual(['checkpoints', 'data.json', 'history.jsonl'])
    const epochs = async () => events(await readFile(join(out, 'history.jsonl'), 'utf8')).map((line) => line.epoch)
    expect(await epochs()).toEqual([undefined, 1, 2])
    expect((await juanji(['evaluate', out])).err).toContain('the folder holds an unfinished run')
    expect((await juanji([...short, '--out', out])).err).toContain('the folder already holds an unfinished run')
    pressed = false
    const resumed = await juanji(['train', '--resume', out], {
      watch(written, pressCtrlC) {
        if (pressed || !written.includes('epoch 4/50   loss')) return
        pressed = true
        pressCtrlC()
      },
    })
    expect(resumed.code).toBe(130)
    expect(resumed.out).toMatch(/Going on with epoch 3, behind step \d+\./)
    expect(await epochs()).toEqual([undefined, 1, 2, 3, 4])
  })

  test('a second Ctrl-C quits at once', async () => {
    const outcome = await juanji([...short, '--out', join(folder, 'run'), '--verbose'], {
      watch(written, pressCtrlC) {
        if (!written.includes('epoch 1/50') || written.includes('Ctrl-C again')) return
        pressCtrlC()
        pressCtrlC()
      },
    })
    expect(outcome.err).toContain('quit with 130')
  })

  test('training that diverges says so and leaves nothing', async () => {
    const outcome = await juanji([...short, '--optimizer', 'sgd', '--lr', '1e30', '--out', join(folder, 'run')])
    expect(outcome.code).toBe(1)
    expect(outcome.err).toMatch(
      /^ConfigError: fit: the (loss is|gradients are) no longer a number: training has diverged\./,
    )
    expect(outcome.err).toMatch(/ {2}got {7}loss .*, gradient norm .* in epoch 1, step \d+ .*, at learning rate \d/)
    expect(outcome.err).toContain('  fix       begin again with a lower learning rate, for instance a tenth (--lr)')
    expect(await readdir(folder)).toEqual([])
  })

  test('training that is refused leaves the model that --force was to replace', async () => {
    const model = join(folder, 'model')
    await mkdir(model)
    await writeFile(join(model, 'model.json'), 'old')
    const argv = ['train', 'digits', '--limit', '100', '--batch-size', '99', '--out', model, '--force']
    expect((await juanji(argv)).code).toBe(2)
    expect(await readdir(model)).toEqual(['model.json'])
  })
})

describe('on a terminal', () => {
  const short = ['train', 'digits', '--limit', '100', '--epochs', '1', '--batch-size', '10']

  test('one line is redrawn, and gone at the end', async () => {
    const { out, err } = await juanji([...short, '--out', join(folder, 'run')], { terminal: true, columns: 60 })
    expect(err).toMatch(/^\repoch 1\/1 {2}[█▏▎▍▌▋▊▉░]+ {2}\d+ % /)
    expect(err.endsWith('\r\u001b[K')).toBe(true)
    expect(err).not.toContain('\n')
    for (const line of err.split('\r')) expect([...line.replace('\u001b[K', '')].length).toBeLessThan(60)
    expect(out).toContain('\u001b[1mTest accuracy: ')
  })

  test('NO_COLOR is respected', async () => {
    const place = { terminal: true, environment: { NO_COLOR: '1' } }
    const { out } = await juanji([...short, '--out', join(folder, 'run'), '--demo'], place)
    expect(out).not.toContain('\u001b')
    expect(out).toMatch(/[█▀▄]{3}/)
  })

  test('the demo draws shades of grey where there are colours', async () => {
    const { out } = await juanji([...short, '--out', join(folder, 'run'), '--demo'], { terminal: true })
    expect(out).toContain('\u001b[38;5;232;48;5;232m▀')
  })
})

describe('explain', () => {
  test('a network, inference: a row a call, and totals that add up', async () => {
    const argv = ['explain', 'lenet5', '--batch-size', '2', '--threads', '1', '--json']
    const { code, out } = await juanji(argv)
    expect(code).toBe(0)
    const all = events(out)
    const calls = all.filter(({ event }) => event === 'call')
    const done = all.at(-1)
    expect(done).toMatchObject({ event: 'done', model: 'lenet5', batchSize: 2, training: false, threads: 1 })
    expect(done.total.flops).toBe(calls.reduce((sum, { flops }) => sum + (flops ?? 0), 0))
    expect(done.total.ms).toBeCloseTo(calls.reduce((sum, { ms }) => sum + ms, 0))
    expect(calls[0]).toMatchObject({
      origin: expect.any(String),
      choice: { op: 'conv', algorithm: 'direct', candidates: expect.any(Array) },
      bytes: expect.any(Number),
      workspaceBytes: expect.any(Number),
      boundBy: expect.stringMatching(/^(compute|memory|neither)$/),
      why: expect.any(String),
    })
  })

  test('a network, training: the whole step, in a table of 100 columns', async () => {
    const { code, out } = await juanji(['explain', 'lenet5', '--batch', '2', '--training', '--threads', '1'])
    expect(code).toBe(0)
    const lines = out.split('\n')
    expect(lines[0]).toBe('lenet5, 2 × 28×28×1: a training step: forward, backward, Adam')
    expect(lines[2]).toMatch(/^computes +kernel +FLOP +bytes +space +ms +GF\/s +GB\/s +peak +bound$/)
    expect(out).toContain('convWeightGradient')
    expect(Math.max(...lines.slice(2, lines.indexOf('', 2)).map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  test('kernel sizes compared', async () => {
    const { code, out } = await juanji(['explain', 'conv', '--input', '2x8x8x4', '--kernel', '1,3', '--json'])
    expect(code).toBe(0)
    const all = events(out)
    expect(all.map(({ event, name }) => name ?? event)).toEqual(['1×1', '3×3', 'dw 3×3 + 1×1', 'done'])
    const [one] = all
    expect(one).toMatchObject({ parameters: 16, multiplyAdds: 2 * 64 * 16, receptiveField: 1, weightBytes: 64 })
    const algorithms = one.times.map(({ algorithm }: { algorithm: string }) => algorithm)
    expect(algorithms.toSorted()).toEqual(['direct', 'pointwise'])
    expect(one.times.map(({ chosen }: { chosen: boolean }) => chosen)).toEqual([true, false])
    for (const time of one.times) {
      expect(time.forwardGflops).toBeCloseTo((2 * one.multiplyAdds) / time.forwardMs / 1e6)
      expect(time.forwardBackwardGflops).toBeCloseTo((6 * one.multiplyAdds) / time.forwardBackwardMs / 1e6)
    }
    expect(all.at(-1)).toMatchObject({ batch: 2, input: [8, 8, 4], filters: 4, padding: 'same', groups: 1 })
  })

  test('a kernel that does not fit is wrong usage', async () => {
    const { code, err } = await juanji(['explain', 'conv', '--input', '2x8x8x4', '--kernel', '9', '--padding', 'valid'])
    expect(code).toBe(2)
    expect(err).toMatch(/^ShapeError: conv2d: the kernel is larger than what arrives\./)
  })
})

describe('explain conv', () => {
  test('--steps prints each window, its products, their sum and where it goes', async () => {
    const { code, out } = await juanji(['explain', 'conv', '--steps'])
    expect(code).toBe(0)
    expect(out).toContain(`\
Step 2 of 4: the window begins at input[-1][0]
  window      kernel      products
  ·  ·  ·     1  2  3      ·   ·   ·
  1  2  ·  ×  4  5  6  =   4  10   ·
  3  4  ·     7  8  9     21  32   ·
  sum 4 + 10 + 21 + 32 = 67
  stored in output[0][1], element 0 × 2 + 1 = 1
`)
    expect(out.endsWith('\nconv2d computes the same numbers.\n')).toBe(true)
  })

  test('--json', async () => {
    const { out } = await juanji(['explain', 'conv', '--padding', '0,2,0,2', '--json'])
    expect(events(out)).toMatchObject([
      {
        event: 'done',
        output: [
          [37, 18],
          [11, 4],
        ],
        difference: 0,
      },
    ])
  })

  test('a kernel without a place is wrong usage', async () => {
    const { code, err } = await juanji(['explain', 'conv', '--padding', 'valid'])
    expect(code).toBe(2)
    expect(err).toMatch(/^ShapeError: conv2d: the kernel is larger than the input\./)
  })
})

/** Runs the program itself, as a process. */
function juanjiProcess(argv: readonly string[]): Promise<Outcome> {
  const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...argv], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    err += data
  })
  return new Promise((resolve) => child.on('exit', (code) => resolve({ code: code ?? -1, out, err })))
}

test('the process ends by itself, with the exit code of the command', async () => {
  expect((await juanjiProcess(['explain', 'conv', '--json'])).code).toBe(0)
  expect(await juanjiProcess(['train', 'minst'])).toEqual({
    code: 2,
    out: '',
    err: "ConfigError: data set: there is no data set or folder 'minst'.\n  expected  a folder of pictures with one folder for each class, or digits, mnist, fashion-mnist, cifar10\n  fix       did you mean 'mnist'?\n",
  })
})
