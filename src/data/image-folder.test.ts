import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Dataset, OpenImageFolder } from './index.ts'
import { datasets, type FolderProgress, scanImageFolder } from './index.ts'

let folder: string
let open: OpenImageFolder | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-folder-'))
})
afterEach(async () => {
  await open?.close()
  open = undefined
  await rm(folder, { recursive: true, force: true })
})

/** A flat picture; other levels make other files. */
const png = (level: number, width = 4, height = 4, channels: 1 | 3 = 1) =>
  sharp(
    Uint8Array.from({ length: width * height * channels }, (_, i) => level + 40 * (i % channels)),
    {
      raw: { width, height, channels },
    },
  )
    .png()
    .toBuffer()

async function write(name: string, content: Uint8Array | string): Promise<void> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
}

/** Pictures of one colour each, all different: `{ cat: 5 }` makes cat/0.png … cat/4.png. */
async function pictures(counts: Readonly<Record<string, number>>): Promise<void> {
  let level = 0
  for (const [name, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) await write(`${name}/${i}.png`, await png(level++))
  }
}

async function messageOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action()
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`.replaceAll(folder, 'DIR')
  }
  return 'no error'
}
const scanning = (path = folder) => messageOf(() => scanImageFolder(path))

async function openFolder(options: Partial<Parameters<typeof datasets.imageFolder>[1]> = {}): Promise<OpenImageFolder> {
  await open?.close()
  open = await datasets.imageFolder(folder, { inputShape: [4, 4, 1], ...options })
  return open
}
const samples = (dataset: Dataset | undefined) =>
  Promise.all(
    Array.from({ length: dataset?.length ?? 0 }, async (_, i) => {
      const { x, y } = await (dataset as Dataset).get(i)
      return { x: [...x], y }
    }),
  )
/** The first byte of each sample: the picture's colour. */
const levels = async (dataset: Dataset | undefined) => (await samples(dataset)).map(({ x }) => x[0])

describe('a folder for each class', () => {
  test('facts, parts and samples', async () => {
    await pictures({ dog: 10, cat: 20, 'a cow/young/very': 3, 'a cow': 2 })
    await write(
      'cat/wide.jpg',
      await sharp(await png(9, 100, 60))
        .jpeg()
        .toBuffer(),
    )
    await write('README.md', 'about these pictures')
    const scan = await scanImageFolder(folder)
    expect(scan.folder).toBe(folder)
    expect(scan.classes).toEqual(['a cow', 'cat', 'dog'])
    expect(scan.facts).toEqual({
      samples: 36,
      perClass: [5, 21, 10],
      medianHeight: 4,
      medianWidth: 4,
      largest: [60, 100],
      grey: true,
      layout: 'classes',
    })
    expect([scan.unreadable, scan.warnings]).toEqual([[], []])

    open = await scan.open({ inputShape: [2, 2, 3] })
    const { train, validation, test, record } = open
    expect([train.length, validation?.length, test?.length]).toEqual([28, 4, 4])
    expect([train.sampleShape, train.dtype, train.classes]).toEqual([[2, 2, 3], 'u8', ['a cow', 'cat', 'dog']])
    expect(record.classes).toEqual([
      { name: 'a cow', train: 3, validation: 1, test: 1 },
      { name: 'cat', train: 17, validation: 2, test: 2 },
      { name: 'dog', train: 8, validation: 1, test: 1 },
    ])
    // Every picture is in one part, with its class, in the order of the record.
    const files = Object.values(record.splits).flat()
    expect(new Set(files).size).toBe(36)
    for (const [part, dataset] of Object.entries({ train, validation, test })) {
      const list = record.splits[part as 'train']
      expect([...list]).toEqual([...list].sort())
      for (const [i, { x, y }] of (await samples(dataset)).entries()) {
        expect(list[i].split('/')[0]).toBe(train.classes[y])
        expect(dataset?.label?.(i)).toBe(y)
        expect(new Set(x).size).toBe(1)
      }
    }
    for await (const { x, y } of train.batches({ size: 28 })) expect([x.shape, y.shape]).toEqual([[28, 2, 2, 3], [28]])
  })

  test('hidden files and what systems leave behind are not there', async () => {
    await pictures({ cat: 3, dog: 3 })
    for (const name of ['Thumbs.db', 'desktop.ini', '.DS_Store', '._0.png']) await write(`cat/${name}`, 'x')
    for (const name of ['__MACOSX/cat/._0.png', '.git/config', 'Thumbs.db']) await write(name, 'x')
    const { classes, facts, unreadable } = await scanImageFolder(folder)
    expect([classes, facts.samples, unreadable]).toEqual([['cat', 'dog'], 6, []])
  })

  test('files are told by what is in them; others are named, with the reason', async () => {
    await pictures({ cat: 3, dog: 3 })
    await write('dog/really.txt', await png(100))
    await write('dog/text.jpg', 'not a picture')
    await write('cat/empty.png', '')
    await write('cat/drawing.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    await write(
      'cat/deep/head.jpg',
      (
        await sharp(await png(3))
          .jpeg()
          .toBuffer()
      ).subarray(0, 30),
    )
    await symlink(join(folder, 'nowhere'), join(folder, 'dog/link.png'))
    const { facts, unreadable, warnings } = await scanImageFolder(folder)
    expect(facts.samples).toBe(7)
    expect(unreadable).toEqual([
      { file: 'cat/deep/head.jpg', reason: 'its header is damaged' },
      { file: 'cat/drawing.svg', reason: 'a picture in the format svg, which is no photograph' },
      { file: 'cat/empty.png', reason: 'an empty file' },
      { file: 'dog/link.png', reason: 'neither a file nor a folder' },
      { file: 'dog/text.jpg', reason: 'no picture: it begins with "not a pi" (text)' },
    ])
    expect(warnings).toEqual([
      '5 files are no readable pictures: cat/deep/head.jpg (its header is damaged), cat/drawing.svg (a picture in the ' +
        'format svg, which is no photograph), cat/empty.png (an empty file) and 2 more',
    ])
    const { record, warnings: again } = await openFolder()
    expect(record.unreadable).toEqual(unreadable)
    expect(again).toEqual(warnings)
  })

  test('colour is seen, in files that could have it', async () => {
    await pictures({ cat: 3, dog: 3 })
    // Grey, but stored as colour and compressed.
    await write(
      'cat/rgb.jpg',
      await sharp(await png(77, 9, 9))
        .toColourspace('srgb')
        .jpeg({ quality: 50 })
        .toBuffer(),
    )
    expect((await scanImageFolder(folder)).facts.grey).toBe(true)
    await write('dog/colour.png', await png(20, 4, 4, 3))
    expect((await scanImageFolder(folder)).facts.grey).toBe(false)
  })

  test('pictures are upright, and their middle is taken', async () => {
    // Left half black, right half white; the file says that it lies on its side.
    const halves = Uint8Array.from({ length: 8 * 4 }, (_, i) => (i % 8 < 4 ? 0 : 255))
    const lying = sharp(halves, { raw: { width: 8, height: 4, channels: 1 } })
    await write('a/0.png', await lying.clone().withMetadata({ orientation: 6 }).png().toBuffer())
    await write('b/0.png', await lying.clone().png().toBuffer())
    const { largest } = (await scanImageFolder(folder)).facts
    expect(largest).toEqual([8, 4])
    const { train } = await openFolder({ inputShape: [2, 2, 1], validation: 0, test: 0 })
    expect((await samples(train)).map(({ x }) => x)).toEqual([
      // An eighth of each weight lies on the other side.
      [32, 32, 223, 223],
      [32, 223, 32, 223],
    ])
  })

  test('linked folders are followed, but not in circles', async () => {
    await pictures({ cat: 3, elsewhere: 3 })
    await symlink(join(folder, 'elsewhere'), join(folder, 'dog'))
    await symlink(folder, join(folder, 'cat/up'))
    await symlink(join(folder, 'cat'), join(folder, 'cat/self'))
    await mkdir(join(folder, 'more'))
    await write('more/0.png', await png(200))
    const { classes, facts } = await scanImageFolder(folder)
    expect(classes).toEqual(['cat', 'dog', 'elsewhere', 'more'])
    // cat/up leads to the other classes again, but to cat only once.
    expect(facts.perClass).toEqual([3 + 3 + 3 + 1, 3, 3, 1])
  })

  test('a folder that only wraps another is looked through', async () => {
    await pictures({ 'photos-main/Dataset/cat': 3, 'photos-main/Dataset/dog': 3 })
    await write('photos-main/Dataset/LICENSE', 'free')
    const scan = await scanImageFolder(folder)
    expect([scan.folder, scan.classes]).toEqual([join(folder, 'photos-main/Dataset'), ['cat', 'dog']])
    expect(scan.warnings).toEqual(['the classes are looked for in photos-main/Dataset, since there is no other folder'])
  })

  test('pictures outside the classes are named', async () => {
    await pictures({ cat: 3, dog: 3 })
    await write('cover.png', await png(200))
    expect((await scanImageFolder(folder)).warnings).toEqual([
      'pictures outside the class folders are left out: cover.png',
    ])
  })
})

describe('folders for train, val and test', () => {
  const layout = (...splits: readonly string[]) =>
    pictures(
      Object.fromEntries(
        splits.flatMap((split) => [
          [`${split}/cat`, 10],
          [`${split}/dog`, 20],
        ]),
      ),
    ) // prettier-ignore
  const lengths = ({ train, validation, test }: OpenImageFolder) => [train.length, validation?.length, test?.length]

  test('are the parts', async () => {
    await layout('Train', 'valid', 'test')
    const { facts, classes } = await scanImageFolder(folder)
    expect([facts.layout, facts.samples, classes]).toEqual(['splits', 90, ['cat', 'dog']])
    const data = await openFolder({ validation: 0.5, test: 0 })
    expect(lengths(data)).toEqual([30, 30, 30])
    expect([data.record.shares, data.record.layout]).toEqual([{}, 'splits'])
    expect(data.record.splits.validation[0]).toBe('valid/cat/0.png')
  })

  test('what is missing is held back of train', async () => {
    await layout('train', 'test')
    const data = await openFolder({ validation: 0.2 })
    expect(lengths(data)).toEqual([24, 6, 30])
    expect(data.record.shares).toEqual({ validation: 0.2 })
    await rename(join(folder, 'test'), join(folder, 'val'))
    expect(lengths(await openFolder())).toEqual([27, 30, 3])
    expect(lengths(await openFolder({ test: 0 }))).toEqual([30, 30, undefined])
    await rm(join(folder, 'val'), { recursive: true })
    expect(lengths(await openFolder())).toEqual([24, 3, 3])
  })

  test('a class may be missing in val and test, and files may be the same', async () => {
    await layout('train', 'val', 'test')
    await rm(join(folder, 'val/cat'), { recursive: true })
    await write('test/dog/same.png', await png(3))
    const { duplicatesAcrossSplits, duplicateGroups } = (await openFolder()).record
    expect([duplicatesAcrossSplits, duplicateGroups]).toEqual([[['train/cat/3.png', 'test/dog/same.png']], 1])
    expect(open?.warnings).toEqual([
      'val has no folder for cat',
      '1 picture is in more than one class: train/cat/3.png and test/dog/same.png',
      '1 picture is in two of train, val and test, where results look better by it: train/cat/3.png and test/dog/same.png',
    ])
  })
})

describe('equal files', () => {
  test('are found by their bytes, in large files too, and stay together', async () => {
    await pictures({ cat: 10, dog: 10 })
    const noise = Uint8Array.from({ length: 300 * 300 }, (_, i) => (i * i * 31 + (i >> 3)) % 256)
    const large = await sharp(noise, { raw: { width: 300, height: 300, channels: 1 } })
      .toColourspace('b-w')
      .tiff({ compression: 'none' })
      .toBuffer()
    const other = Buffer.from(large)
    other[80_000] ^= 1 // the same size, the same beginning
    for (const name of ['cat/a.tif', 'cat/b.tif']) await write(name, large)
    await write('dog/other.tif', other)
    await write('dog/copy.png', await png(12))
    for (let seed = 0; seed < 5; seed++) {
      const { record, warnings } = await openFolder({ seed })
      expect([record.duplicateGroups, record.duplicatesAcrossSplits]).toEqual([2, []])
      expect(record.splits.train).toEqual(
        expect.arrayContaining(['cat/a.tif', 'cat/b.tif', 'dog/2.png', 'dog/copy.png']),
      )
      expect(warnings).toEqual(['2 pictures are there more than once, and only trained on: cat/a.tif and cat/b.tif'])
    }
  })
})

describe('the record', () => {
  test('is plain, and its fingerprint follows names, sizes and splits', async () => {
    await pictures({ cat: 10, dog: 10 })
    const { record, fingerprint } = await openFolder({ seed: 3 })
    expect(JSON.parse(JSON.stringify(record))).toEqual(record)
    expect(record).toMatchObject({
      kind: 'image-folder',
      folder,
      layout: 'classes',
      inputShape: [4, 4, 1],
      seed: 3,
      shares: { validation: 0.1, test: 0.1 },
      unreadable: [],
      replaced: [],
      duplicatesAcrossSplits: [],
      duplicateGroups: 0,
    })
    expect(record.splits.train).toHaveLength(16)
    expect(fingerprint).toMatch(/^[0-9a-f]{16}$/)
    expect(record.hash.slice(0, 16)).toBe(fingerprint)

    expect((await openFolder({ seed: 3, inputShape: [2, 2, 3], cacheBytes: 0 })).fingerprint).toBe(fingerprint)
    expect((await openFolder({ seed: 4 })).fingerprint).not.toBe(fingerprint)
    await write('cat/more.png', await png(200))
    const more = (await openFolder({ seed: 3 })).fingerprint
    expect(more).not.toBe(fingerprint)
    await write('cat/more.png', await png(200, 90)) // of another size
    expect((await openFolder({ seed: 3 })).fingerprint).not.toBe(more)
    await unlink(join(folder, 'cat/more.png'))
    expect((await openFolder({ seed: 3 })).fingerprint).toBe(fingerprint)
  })
})

describe('decoded now or in every epoch', () => {
  test('are the same samples', async () => {
    await pictures({ cat: 30, dog: 30 })
    const kept = await openFolder({ validation: 0.2 })
    const all = [await samples(kept.train), await samples(kept.validation), await samples(kept.test)]
    expect(kept.cached).toBe(true)
    expect(kept.train.get(0)).not.toBeInstanceOf(Promise)
    await kept.close()
    expect(await samples(kept.train)).toEqual(all[0]) // nothing needs the threads any more
    const streamed = await openFolder({ validation: 0.2, cacheBytes: 60 * 16 - 1 })
    expect(streamed.cached).toBe(false)
    expect(streamed.train.get(0)).toBeInstanceOf(Promise)
    expect([await samples(streamed.train), await samples(streamed.validation), await samples(streamed.test)]).toEqual(
      all,
    )
    expect((await openFolder({ validation: 0.2, cacheBytes: 60 * 16 })).cached).toBe(true)
  })

  /** Files whose headers are whole and whose pixels are not. */
  const damage = async (...names: readonly string[]) => {
    for (const [salt, name] of names.entries()) {
      const noise = Uint8Array.from({ length: 64 * 64 }, (_, i) => (i * i * (31 + 2 * salt)) % 256)
      const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 1 } })
        .jpeg()
        .toBuffer()
      await write(name, whole.subarray(0, whole.length - 500))
    }
  }

  test('damaged pictures that are decoded now are left out of the split', async () => {
    await pictures({ cat: 8, dog: 8 })
    await damage('dog/x.jpg', 'cat/y.jpg')
    const scan = await scanImageFolder(folder)
    expect([scan.facts.samples, scan.unreadable]).toEqual([18, []])
    const warned: string[] = []
    const { record, warnings } = await openFolder({ onWarning: (message) => warned.push(message) })
    const reason = 'it cannot be decoded: damaged or cut short'
    expect(record.unreadable).toEqual([
      { file: 'cat/y.jpg', reason },
      { file: 'dog/x.jpg', reason },
    ])
    expect(Object.values(record.splits).flat()).toHaveLength(16)
    expect(warnings).toEqual([`2 files are no readable pictures: cat/y.jpg (${reason}), dog/x.jpg (${reason})`])
    expect(warned).toEqual(warnings)
  })

  test('those that are found in an epoch are replaced by the next of their class', async () => {
    await pictures({ cat: 6, dog: 6 })
    await damage('dog/2x.jpg', 'dog/2y.jpg', 'cat/9.jpg')
    const options = { cacheBytes: 0, validation: 0, test: 0 }
    const data = await openFolder(options)
    expect(data.record.splits.train).toHaveLength(15)
    expect(data.warnings).toEqual([])
    const cats = [0, 1, 2, 3, 4, 5]
    const dogs = [6, 7, 8, 9, 10, 11]
    const expected = [...cats, cats[0], ...dogs.slice(0, 3), dogs[3], dogs[3], ...dogs.slice(3)]
    expect(await levels(data.train)).toEqual(expected)
    expect(await levels(data.train)).toEqual(expected)
    const reason = 'it cannot be decoded: damaged or cut short'
    expect(data.record.replaced).toEqual([
      { file: 'cat/9.jpg', reason, by: 'cat/0.png' },
      { file: 'dog/2x.jpg', reason, by: 'dog/3.png' },
      { file: 'dog/2y.jpg', reason, by: 'dog/3.png' },
    ])
    expect(data.warnings).toHaveLength(3)
    expect(data.warnings).toContain(`cat/9.jpg is damaged (${reason}): cat/0.png is seen in its place`)
    // Asked for in another order it is the same.
    const again = await openFolder(options)
    expect((await again.train.get(10)).x[0]).toBe(dogs[3])
  })

  test('a class of which nothing can be decoded', async () => {
    await pictures({ cat: 4 })
    await damage('dog/x.jpg', 'dog/y.jpg')
    const reason = 'it cannot be decoded: damaged or cut short'
    expect(await messageOf(() => openFolder({ validation: 0, test: 0 }))).toBe(
      "ConfigError: DIR: class 'dog' has no picture to train on.\n" +
        `  got       dog/x.jpg (${reason}), dog/y.jpg (${reason})\n` +
        '  expected  JPEG, PNG, WebP, GIF, AVIF or TIFF files in the folder of each class\n' +
        '  fix       add pictures of this class, or remove its folder',
    )
    const { train } = await openFolder({ validation: 0, test: 0, cacheBytes: 0 })
    expect(await messageOf(async () => train.get(5))).toBe(
      `ConfigError: DIR/dog/y.jpg: this picture is damaged (${reason}), as are all others of class 'dog' beside it.\n` +
        '  expected  at least one picture of each class that can be decoded\n' +
        '  fix       add pictures of this class, or remove the damaged ones',
    )
  })

  test('a file or folder that is gone in an epoch ends it, with its name', async () => {
    await pictures({ cat: 4, dog: 4 })
    const data = await openFolder({ cacheBytes: 0, validation: 0, test: 0 })
    const epoch = async () => {
      for await (const _ of data.train.batches({ size: 2 }));
    }
    expect(await messageOf(epoch)).toBe('no error')
    await unlink(join(folder, 'dog/3.png'))
    const rest =
      '  expected  the files that were there when the folder was scanned\n' +
      '  fix       put back what is missing; a run that stopped here can then be resumed from its last checkpoint'
    expect(await messageOf(epoch)).toBe(`ConfigError: DIR/dog/3.png: this picture is no longer there.\n${rest}`)
    await rename(folder, `${folder}-away`)
    expect(await messageOf(epoch)).toBe(`ConfigError: DIR: the folder of pictures is no longer there.\n${rest}`)
    await rename(`${folder}-away`, folder)
  })

  test('progress is told, and work can be stopped', async () => {
    await pictures({ cat: 10, dog: 10 })
    const told: FolderProgress[] = []
    await openFolder({ onProgress: (progress) => told.push(progress) })
    expect(told.filter(({ doing }) => doing === 'list')).toEqual([10, 20].map((done) => ({ doing: 'list', done })))
    for (const doing of ['look', 'decode']) {
      const steps = told.filter((progress) => progress.doing === doing)
      expect(steps).toEqual(Array.from({ length: 20 }, (_, i) => ({ doing, done: i + 1, total: 20 })))
    }
    const stop = (doing: string) => {
      const control = new AbortController()
      const onProgress = (progress: FolderProgress) => {
        if (progress.doing === doing && progress.done >= 10) control.abort(new Error('stopped'))
      }
      return openFolder({ signal: control.signal, onProgress })
    }
    for (const doing of ['list', 'look', 'decode']) await expect(stop(doing)).rejects.toThrow('stopped')
  })
})

describe('folders that classes cannot be told from', () => {
  const layout =
    '  expected  a subfolder for each class (DIR/cat/1.jpg, DIR/dog/2.jpg), or these below train, val and test\n'

  test('none, a file, an empty one', async () => {
    expect(await scanning(join(folder, 'none'))).toBe(
      `ConfigError: DIR/none: there is no such folder.\n${layout}  fix       check the path`,
    )
    await write('a.jpg', 'x')
    expect(await scanning(join(folder, 'a.jpg'))).toBe(
      `ConfigError: DIR/a.jpg: this is a file, not a folder.\n${layout}  fix       name the folder it lies in`,
    )
    await unlink(join(folder, 'a.jpg'))
    await write('.DS_Store', '')
    expect(await scanning()).toBe(
      `ConfigError: DIR: the folder is empty.\n${layout}` +
        '  fix       put the pictures of each class into a subfolder of its own',
    )
  })

  test('files and no classes', async () => {
    await write('notes.txt', 'x')
    expect(await scanning()).toBe(
      `ConfigError: DIR: there are no class folders in it.\n  got       1 file, no folders\n${layout}` +
        '  fix       put the pictures of each class into a subfolder of its own',
    )
    await write('0.png', await png(1))
    expect(await scanning()).toBe(
      'ConfigError: DIR: the pictures lie in the folder itself, so that their classes are not known.\n' +
        `  got       2 files, no folders\n${layout}` +
        '  fix       put the pictures of each class into a subfolder of its own',
    )
  })

  test('one class', async () => {
    const message = (where: string) =>
      `ConfigError: ${where}: there is one class only, so that there is nothing to tell apart.\n` +
      `  got       the folder cat\n${layout}  fix       add a folder with pictures of another class`
    await pictures({ cat: 3 })
    expect(await scanning()).toBe(message('DIR'))
    await rm(join(folder, 'cat'), { recursive: true })
    await pictures({ 'train/cat': 3, 'test/cat': 3 })
    expect(await scanning()).toBe(message('DIR'))
  })

  test('a class without a picture', async () => {
    await pictures({ cat: 3, dog: 3 })
    await mkdir(join(folder, 'bird'))
    const rest =
      '  expected  JPEG, PNG, WebP, GIF, AVIF or TIFF files in the folder of each class\n' +
      '  fix       add pictures of this class, or remove its folder'
    expect(await scanning()).toBe(
      `ConfigError: DIR: class 'bird' has no picture to train on.\n  got       no files\n${rest}`,
    )
    for (let i = 0; i < 5; i++) await write(`bird/${i}.jpg`, 'text')
    const reason = 'no picture: it begins with "text" (text)'
    expect(await scanning()).toBe(
      `ConfigError: DIR: class 'bird' has no picture to train on.\n  got       bird/0.jpg (${reason}), ` +
        `bird/1.jpg (${reason}), bird/2.jpg (${reason}) and 2 more\n${rest}`,
    )
  })

  test('train, val and test that do not fit each other', async () => {
    await pictures({ 'test/cat': 2, 'test/dog': 2 })
    await write('val/0.png', await png(50))
    expect(await scanning()).toBe(
      `ConfigError: DIR: there is nothing to train on.\n  got       test, val\n${layout}` +
        '  fix       add a folder train; if these names are meant as classes, rename them',
    )
    await write('train/0.png', await png(60))
    expect(await scanning()).toBe(
      `ConfigError: DIR/train: there are no class folders in it.\n  got       1 file, no folders\n${layout}` +
        '  fix       put the pictures of each class into a subfolder of its own',
    )
    await pictures({ 'train/cat': 2, 'train/cow': 2 })
    expect(await scanning()).toBe(
      `ConfigError: DIR/val: there are no class folders in it.\n  got       1 file, no folders\n${layout}` +
        '  fix       move it elsewhere: pictures whose class is not known are for predict, not for training',
    )
    await rm(join(folder, 'val'), { recursive: true })
    expect(await scanning()).toBe(
      'ConfigError: DIR/test: there are classes that train does not have.\n  got       dog\n' +
        '  expected  only classes of train: cat, cow\n' +
        '  fix       correct the names, or add pictures of these classes to train',
    )
    await mkdir(join(folder, 'testing'))
    expect(await scanning()).toBe(
      'ConfigError: DIR: two folders are for test.\n  got       test, testing, train\n' +
        '  expected  one folder each for train, val and test\n' +
        '  fix       put their pictures together, or remove one',
    )
  })
})

describe('opening', () => {
  test('small classes are only trained on, unless nothing is left to hold back', async () => {
    await pictures({ cat: 5, dog: 1, fox: 2 })
    const { record, warnings } = await openFolder()
    expect(record.classes.map(({ train, validation, test }) => [train, validation, test])).toEqual([
      [3, 1, 1],
      [1, 0, 0],
      [2, 0, 0],
    ])
    expect(warnings).toEqual([
      'too few pictures to hold any back, these classes are only trained on: dog (1 picture), fox (2 pictures)',
    ])
    await rm(join(folder, 'cat'), { recursive: true })
    expect(await messageOf(() => openFolder())).toBe(
      'ConfigError: DIR: there are too few pictures to hold any back for validation.\n' +
        '  got       3 pictures to train on in 2 classes\n' +
        '  expected  a class with at least one picture for each of training, validation and test\n' +
        '  fix       add pictures, or hold none back: validation: 0',
    )
    const { train, validation, test } = await openFolder({ validation: 0, test: 0 })
    expect([train.length, validation, test]).toEqual([3, undefined, undefined])
  })

  test('options that make no sense', async () => {
    await pictures({ cat: 3, dog: 3 })
    const opening = (options: object) => messageOf(() => openFolder(options))
    expect(await opening({ inputShape: [4, 4, 2] })).toBe(
      'ConfigError: image folder: inputShape makes no sense.\n  got       [4, 4, 2]\n' +
        '  expected  [height, width, 1] for grey or [height, width, 3] for colour, whole numbers of at least 1\n' +
        '  fix       use for instance [64, 64, 3]',
    )
    expect(await opening({ inputShape: undefined })).toContain('inputShape makes no sense.\n  got       undefined')
    expect(await opening({ validation: 0.6, test: 0.4 })).toBe(
      'ConfigError: image folder: validation and test make no sense.\n  got       validation 0.6, test 0.4\n' +
        '  expected  shares in [0, 1) that leave something to train on\n' +
        '  fix       use for instance 0.1 and 0.1, or 0 to hold nothing back',
    )
    expect(await opening({ seed: 1.5 })).toBe(
      'ConfigError: image folder: seed makes no sense.\n  got       1.5\n  expected  a whole number\n' +
        '  fix       use for instance 1',
    )
    expect(await opening({ cacheBytes: -1 })).toBe(
      'ConfigError: image folder: cacheBytes makes no sense.\n  got       -1\n' +
        '  expected  a number of bytes, 0 or more\n  fix       leave it out, or use 0 to keep nothing in memory',
    )
    expect(await opening({ sead: 1 })).toBe(
      "ConfigError: image folder: unknown option 'sead'.\n" +
        '  expected  inputShape, validation, test, seed, cacheBytes, onProgress, signal, onWarning\n' +
        "  fix       did you mean 'seed'?",
    )
  })
})

test('photographs of hand signs, three of them of 3024 × 3024, and a text among them', async (context) => {
  const root = process.env.JUANJI_DATA
  if (root === undefined) context.skip('JUANJI_DATA is not set')
  const archive = join(root as string, 'images', 'sign-language-digits', 'sign-language-digits.tar.gz')
  execFileSync('tar', ['xzf', archive, '-C', folder])
  await write('Dataset/4/renamed.JPG', 'this is no picture')
  const { train, validation, test, record } = await openFolder({ inputShape: [32, 32, 3] })
  expect([train.length, validation?.length, test?.length]).toEqual([1644, 209, 209])
  expect(train.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  expect(record.unreadable).toEqual([{ file: '4/renamed.JPG', reason: 'no picture: it begins with "this is " (text)' }])
})
