/** What people get wrong around a training, and what must then be there: a good error, and nothing half-written. */
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { juanji } from './command-line.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-bad-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Pictures of one colour with some noise of their own, so that no two are alike. */
async function pictures(path: string, count: number, colour: [number, number, number]): Promise<void> {
  await mkdir(path, { recursive: true })
  for (let i = 0; i < count; i++) {
    const data = Buffer.alloc(16 * 16 * 3)
    for (let j = 0; j < data.length; j++) data[j] = Math.min(255, colour[j % 3] + ((j * 7 + i * 13) % 50))
    await sharp(data, { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toFile(join(path, `${i}.png`))
  }
}

async function twoClasses(path = join(folder, 'photos'), count = 12): Promise<string> {
  await pictures(join(path, 'red'), count, [200, 30, 30])
  await pictures(join(path, 'blue'), count, [30, 30, 200])
  return path
}

const quick = ['--arch', 'lenet5', '--input-size', '28', '--epochs', '2', '--batch-size', '4', '--augment', 'none']

async function refused(argv: readonly string[], code = 2): Promise<string> {
  const outcome = await juanji(argv)
  expect(outcome.code, outcome.out + outcome.err).toBe(code)
  return outcome.err
}

describe('a folder of pictures', () => {
  const out = () => join(folder, 'model')
  const train = (photos: string) => ['train', photos, '--out', out(), ...quick]

  test('that is empty', async () => {
    const photos = join(folder, 'photos')
    await mkdir(photos)
    const err = await refused(train(photos))
    expect(err).toMatch(/^ConfigError: .*photos: .*\n(.|\n)* {2}fix {7}/)
    expect(await readdir(folder)).toEqual(['photos'])
  })

  test('with one class', async () => {
    const photos = join(folder, 'photos')
    await pictures(join(photos, 'red'), 5, [200, 30, 30])
    expect(await refused(train(photos))).toMatch(/ConfigError: .*photos: .*one class/)
    expect(await readdir(folder)).toEqual(['photos'])
  })

  test('with a class of one picture: it is learned from, and that is said', async () => {
    const photos = await twoClasses()
    await pictures(join(photos, 'rare'), 1, [0, 200, 0])
    const { code, err, out: said } = await juanji(train(photos))
    expect(code, err + said).toBe(0)
    expect(err).toMatch(/rare/)
  }, 60_000)

  test('smaller than the batch', async () => {
    const photos = await twoClasses()
    expect(await refused([...train(photos), '--batch-size', '500'], 2)).toBe(
      'ConfigError: fit: the batch is larger than the data.\n' +
        '  got       batches of 500, 20 samples to learn from\n' +
        '  expected  at most 20\n' +
        '  fix       make the batch smaller: several updates an epoch learn more\n',
    )
    expect(await readdir(folder)).toEqual(['photos'])
  })
})

test('a few pictures of each class are enough: the batch is made smaller', async () => {
  const photos = await twoClasses(undefined, 4)
  const model = join(folder, 'model')
  const { code, err } = await juanji(['train', photos, '--epochs', '1', '--arch', 'lenet5', '--out', model])
  expect(code, err).toBe(0)
}, 60_000)

test('Ctrl-C while pictures are read leaves nothing', async () => {
  const photos = await twoClasses(undefined, 60)
  let pressed = false
  const { code, err } = await juanji(['train', photos, '--out', join(folder, 'model'), ...quick], {
    terminal: true,
    watch(written, pressCtrlC) {
      if (pressed || !written.includes('reading pictures')) return
      pressed = true
      pressCtrlC()
    },
  })
  expect(code, err).toBe(130)
  expect(err).not.toContain('AbortError')
  expect(await readdir(folder)).toEqual(['photos'])
}, 60_000)

describe('a model folder', () => {
  let whole: string
  let home: string
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'juanji-whole-'))
    whole = join(home, 'model')
    const photos = await twoClasses(join(home, 'photos'))
    const { code, err } = await juanji(['train', photos, '--out', whole, ...quick])
    expect(code, err).toBe(0)
  }, 60_000)
  afterAll(() => rm(home, { recursive: true, force: true }))
  const copy = async () => {
    const model = join(folder, 'model')
    await cp(whole, model, { recursive: true })
    return model
  }

  test('whose weights are cut short', async () => {
    const model = await copy()
    const weights = join(model, 'weights.safetensors')
    await truncate(weights, (await readFile(weights)).length - 10)
    const err = await refused(['evaluate', model], 1)
    expect(err).toContain(`FormatError: ${weights}: `)
    expect(err).toContain('the file is cut short: get it again')
  })

  test('whose weights have another shape', async () => {
    const model = await copy()
    const path = join(model, 'model.json')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('"features": 120', '"features": 60'))
    const err = await refused(['evaluate', model], 1)
    expect(err).toContain(
      `FormatError: ${join(model, 'weights.safetensors')}: the weights are not those of this model.`,
    )
    expect(err).toMatch(/of another shape .*instead of/)
  })

  test('that is an unfinished run', async () => {
    const model = await copy()
    await rm(join(model, 'model.json'))
    expect(await refused(['evaluate', model], 1)).toContain(
      `FormatError: ${model}: the folder holds an unfinished run: there is no model.json.`,
    )
  })

  test('with the checkpoint of another model', async () => {
    const model = await copy()
    const other = join(folder, 'other')
    const photos = join(home, 'photos')
    expect((await juanji(['train', photos, '--out', other, ...quick, '--arch', 'resnet8'])).code).toBe(0)
    const checkpoints = join(model, 'checkpoints')
    await rm(checkpoints, { recursive: true })
    await cp(join(other, 'checkpoints'), checkpoints, { recursive: true })
    const before = await readdir(checkpoints)
    const refusal = await refused(['train', '--resume', model])
    expect(refusal).toMatch(/ConfigError: .*step-.*: the run would not repeat: network/)
    expect(await refused(['train', '--resume', model, '--resume-anyway'], 1)).toContain(
      'this is the checkpoint of another model or optimizer',
    )
    expect(await readdir(checkpoints)).toEqual(before)
  }, 60_000)

  test('resumed with other options, or pictures that have changed', async () => {
    const model = await copy()
    const record = await readFile(join(model, 'data.json'), 'utf8')
    expect(await refused(['train', '--resume', model, '--lr', '0.5', '--epochs', '9'])).toMatch(
      /the run would not repeat: epochs, optimizer are not what the checkpoint was written with/,
    )
    const photos = join(folder, 'photos')
    await cp(join(home, 'photos'), photos, { recursive: true })
    await copyFile(join(photos, 'red', '0.png'), join(photos, 'red', 'new.png'))
    expect(await refused(['train', photos, '--resume', model])).toMatch(/the run would not repeat: .*files/)
    // What is refused has touched nothing.
    expect(await readFile(join(model, 'data.json'), 'utf8')).toBe(record)
  })
})

test('measured after pictures were added: which ones it never saw cannot be told', async () => {
  const photos = await twoClasses()
  const model = join(folder, 'model')
  expect((await juanji(['train', photos, '--out', model, ...quick])).code).toBe(0)
  expect((await juanji(['evaluate', model])).code).toBe(0)
  await copyFile(join(photos, 'red', '0.png'), join(photos, 'red', 'new.png'))
  const err = await refused(['evaluate', model], 1)
  expect(err).toContain('the pictures are no longer those the model was trained with')
  expect(err).toContain(`juanji evaluate ${model} OTHER-PICTURES`)
}, 60_000)

test('pictures that vanish in the middle', async () => {
  const photos = await twoClasses(undefined, 40)
  const model = join(folder, 'model')
  let gone = false
  // Without room to keep decoded pictures, every epoch reads the files again.
  const argv = ['train', photos, '--out', model, ...quick, '--epochs', '50', '--cache', '0', '--json']
  const { code, err } = await juanji(argv, {
    watch(written) {
      if (gone || !written.includes('"event":"epoch"')) return
      gone = true
      void rm(photos, { recursive: true })
    },
  })
  expect(code).toBe(1)
  expect(err).toMatch(/ConfigError: .*photos.*(is no longer there|has gone)/)
  expect(err).toContain(`train --resume ${model}`)
  expect(await readdir(model)).not.toContain('model.json')
}, 60_000)
