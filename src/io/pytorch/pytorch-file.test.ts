import { describe, expect, it } from 'vitest'
import { openRange } from '#platform'
import { FormatError, UnsupportedError } from '../../base/errors.ts'
import { Random } from '../../base/random.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { writeZip } from '../../testing/write-zip.ts'
import { toFloat32 } from '../safetensors.ts'
import type { WeightsFile } from '../weights/source.ts'
import { openPytorch } from './pytorch-file.ts'
import {
  Called,
  Name,
  Outside,
  pickle,
  type SavedStorage,
  saveLegacy,
  saveZip,
  stateDict,
  storageOf,
  Tuple,
  tensorOf,
  type Value,
} from './torch-save.cases.ts'

const open = async (bytes: Uint8Array) => openPytorch(await openRange(bytes, 'w.pt'))

async function messageOf(bytes: Uint8Array): Promise<string> {
  try {
    await open(bytes)
  } catch (error) {
    if (error instanceof FormatError || error instanceof UnsupportedError) return `${error.name}: ${error.message}`
    throw error
  }
  throw new Error('nothing was thrown')
}

async function valuesOf(file: WeightsFile): Promise<Record<string, [string, readonly number[], number[]]>> {
  const values: Record<string, [string, readonly number[], number[]]> = {}
  for (const [name, tensor] of file.tensors) {
    const data = await tensor.read()
    values[name] = [tensor.dtype, tensor.shape, [...toFloat32({ ...tensor, data })]]
  }
  return values
}

const floats = storageOf(
  'FloatStorage',
  Float32Array.from({ length: 24 }, (_, i) => i / 2),
)
const both = [
  ['zip', saveZip],
  ['legacy', saveLegacy],
] as const

describe.each(both)('openPytorch, the %s form', (form, save) => {
  it('reads every element type, in every protocol', async () => {
    const storages = {
      f32: storageOf('FloatStorage', Float32Array.of(1.5, -2)),
      f64: storageOf('DoubleStorage', Float64Array.of(0.25, 3)),
      f16: storageOf('HalfStorage', Uint16Array.of(0x3c00, 0xc000)),
      bf16: storageOf('BFloat16Storage', Uint16Array.of(0x3f80, 0xc049)),
      i64: storageOf('LongStorage', BigInt64Array.of(-7n, 2n ** 40n)),
      i32: storageOf('IntStorage', Int32Array.of(-7, 9)),
      i16: storageOf('ShortStorage', Int16Array.of(-7, 9)),
      i8: storageOf('CharStorage', Int8Array.of(-7, 9)),
      u8: storageOf('ByteStorage', Uint8Array.of(200, 9)),
      bool: storageOf('BoolStorage', Uint8Array.of(1, 0)),
    }
    const entries = Object.fromEntries(Object.entries(storages).map(([key, s]) => [key, tensorOf(key, s, [2])]))
    for (const protocol of [2, 3, 4, 5]) {
      const file = await open(save(stateDict(entries), storages, { protocol }))
      expect([file.layout, file.path]).toEqual(['pytorch', 'w.pt'])
      expect(await valuesOf(file)).toEqual({
        f32: ['F32', [2], [1.5, -2]],
        f64: ['F64', [2], [0.25, 3]],
        f16: ['F16', [2], [1, -2]],
        bf16: ['BF16', [2], [1, -3.140625]],
        i64: ['I64', [2], [-7, 2 ** 40]],
        i32: ['I32', [2], [-7, 9]],
        i16: ['I16', [2], [-7, 9]],
        i8: ['I8', [2], [-7, 9]],
        u8: ['U8', [2], [200, 9]],
        bool: ['BOOL', [2], [1, 0]],
      })
      await file.close()
    }
  })

  it('reads tensors that share a storage, start inside it, step over it, repeat it, or are empty', async () => {
    const entries = {
      whole: tensorOf('0', floats, [2, 3, 4]),
      row: tensorOf('0', floats, [4], { offset: 8 }),
      turned: tensorOf('0', floats, [4, 2, 3], { strides: [1, 12, 4] }),
      every: tensorOf('0', floats, [3], { offset: 1, strides: [9] }),
      repeated: tensorOf('0', floats, [3, 2], { strides: [0, 1] }),
      one: tensorOf('0', floats, [], { offset: 23 }),
      none: tensorOf('0', floats, [0, 5], { offset: 24 }),
      odd: tensorOf('0', floats, [1, 4], { offset: 4, strides: [99, 1] }),
    }
    const values = await valuesOf(await open(save(stateDict(entries), { '0': floats })))
    const at = (name: string) => values[name][2].map((value) => value * 2)
    expect(at('whole')).toEqual(Array.from({ length: 24 }, (_, i) => i))
    expect(at('row')).toEqual([8, 9, 10, 11])
    expect(at('turned')).toEqual(
      [0, 1, 2, 3].flatMap((a) => [0, 1].flatMap((b) => [0, 1, 2].map((c) => a + 12 * b + 4 * c))),
    )
    expect(at('every')).toEqual([1, 10, 19])
    expect(at('repeated')).toEqual([0, 1, 0, 1, 0, 1])
    expect(at('one')).toEqual([23])
    expect([values.one[1], values.none[1], at('none')]).toEqual([[], [0, 5], []])
    expect(at('odd')).toEqual([4, 5, 6, 7])
  })

  it('finds the state dict of a checkpoint, and takes away what wrappers put in front of names', async () => {
    const weight = tensorOf('0', floats, [24])
    const checkpoint = new Map<Value, Value>([
      ['epoch', 7],
      ['best', 0.5],
      ['loss', tensorOf('0', floats, [], { offset: 1 })],
      ['args', new Called('argparse.Namespace', [], { kind: 'new', state: new Map([['lr', 0.1]]) })],
      ['optimizer', new Called('torch.optim.sgd.SGD', [], { kind: 'new', state: new Map() })],
      [
        'state_dict',
        stateDict({
          'module.a.weight': weight,
          'module.b': new Called('torch._utils._rebuild_parameter', [weight, true, null]),
        }),
      ],
      ['loss_function', new Name('os.system')],
    ])
    const file = await open(save(checkpoint, { '0': floats }))
    expect([...file.tensors.keys()]).toEqual(['a.weight', 'b'])
    expect(file.metadata).toEqual({ epoch: '7', best: '0.5' })
    for (const key of ['model', 'model_state_dict', 'net', 'weights', 'params']) {
      const inside = await open(
        save(
          new Map<Value, Value>([
            ['x', null],
            [key, new Map([['_orig_mod.w', weight]])],
          ]),
          { '0': floats },
        ),
      )
      expect([...inside.tensors.keys()]).toEqual(['w'])
    }
    const nested = await open(
      save(
        new Map([
          ['encoder', new Map([['w', weight]])],
          ['list', [weight, weight]],
        ] as [Value, Value][]),
        { '0': floats },
      ),
    )
    expect([...nested.tensors.keys()]).toEqual(['encoder.w', 'list.0', 'list.1'])
    expect([...(await open(save(weight, { '0': floats }))).tensors.keys()]).toEqual(['tensor'])
  })

  it('refuses a call of anything by its name and place', async () => {
    const message = await messageOf(
      save(new Map<Value, Value>([['a', new Called('posix.system', ['echo hacked'])]]), {}),
    )
    expect(message).toMatch(
      /^FormatError: w\.pt: the pickle calls posix\.system \(os\.system\), which no file of weights needs \(at byte offset \d+\)\.\n {2}got {7}posix\.system\n/,
    )
    for (const [callee, kind] of [
      ['os.system', 'call'],
      ['os.system', 'new'],
      ['builtins.eval', 'call'],
      ['builtins.exec', 'call'],
      ['builtins.getattr', 'call'],
      ['subprocess.Popen', 'call'],
      ['torch.load', 'call'],
      ['torch.hub.load', 'call'],
      ['builtins.__import__', 'call'],
      ['collections.OrderedDict.__init__', 'call'],
      ['constructor.constructor', 'call'],
      ['.__proto__', 'call'],
    ] as const) {
      const text = await messageOf(save(stateDict({ a: new Called(callee, ['x'], { kind }) }), {}))
      expect(text.replace('__builtin__', 'builtins')).toMatch(`FormatError: w.pt: the pickle calls ${callee}, which`)
    }
    const module = await messageOf(save(new Called('__main__.Net', [], { kind: 'new', state: new Map() }), {}))
    expect(module).toMatch(
      /^UnsupportedError: w\.pt: the file holds an object of __main__\.Net, not weights alone \(at byte offset \d+\)\./,
    )
    expect(module).toContain("torch.save(model.state_dict(), 'weights.pt')")
    const sparse = await messageOf(save(stateDict({ a: new Called('torch._utils._rebuild_sparse_tensor', []) }), {}))
    expect(sparse).toMatch(/^UnsupportedError: w\.pt: the file holds a tensor of a kind that is not known here/)
  })

  it('refuses tensors that reach beyond their storage, and storages that are not there', async () => {
    const refuse = (tensor: Value, storages: Readonly<Record<string, SavedStorage>> = { '0': floats }) =>
      messageOf(save(stateDict({ a: tensor }), storages))
    expect(await refuse(tensorOf('0', floats, [5, 5]))).toMatch(
      /^FormatError: w\.pt: tensor 'a' does not fit its storage \(at byte offset \d+\)\.\n {2}got {7}shape \[5, 5\], strides \[5, 1\], offset 0\n/,
    )
    const misfit = stateDict({ first: tensorOf('0', floats, [5, 5]), second: tensorOf('0', floats, [1]) })
    const bytes = save(misfit, { '0': floats })
    const second = bytes.findIndex((_, i) => new TextDecoder().decode(bytes.subarray(i, i + 6)) === 'second')
    const offset = Number(/offset (\d+)/.exec(await messageOf(bytes))?.[1])
    // The instruction that makes the first one, in front of the name of the second.
    expect([offset < second, String.fromCharCode(bytes[offset])]).toEqual([true, 'R'])
    expect(await refuse(tensorOf('0', floats, [2], { offset: 23 }))).toContain('does not fit its storage')
    expect(await refuse(tensorOf('0', floats, [2], { strides: [24] }))).toContain('does not fit its storage')
    expect(await refuse(tensorOf('0', floats, [2 ** 30], { strides: [0] }))).toContain('does not fit its storage')
    expect(await refuse(tensorOf('0', floats, [2], { strides: [-1] }))).toContain('a tensor is not described as')
    expect(await refuse(tensorOf('0', floats, [2], { offset: -1 }))).toContain('a tensor is not described as')
    expect(await refuse(tensorOf('0', floats, [2], { strides: [1, 1] }))).toContain('a tensor is not described as')
    expect(await refuse(tensorOf('0', floats, [2]), {})).toContain("the storage of tensor 'a' is missing")
    const longer = { ...floats, count: 100 }
    expect(await refuse(tensorOf('0', longer, [100]))).toContain(form === 'zip' ? 'is too short' : 'has another length')
    const complex = { ...floats, kind: 'ComplexFloatStorage' }
    expect(await refuse(tensorOf('0', complex, [3]), { '0': complex })).toMatch(
      /^UnsupportedError: w\.pt: .* is of a type that is not known here/,
    )
  })

  it('refuses what holds no weights', async () => {
    expect(
      await messageOf(
        save(
          new Map<Value, Value>([
            ['epoch', 3],
            ['names', ['a']],
          ]),
          {},
        ),
      ),
    ).toMatch(
      /^FormatError: w\.pt: the file holds no weights \(at byte offset \d+\)\.\n {2}got {7}a dict of "epoch", "names"\n/,
    )
    expect(await messageOf(save(3, {}))).toContain('the file holds no weights')
  })

  it('whatever happened to the bytes, fails with path and offset', { timeout: hostileTimeoutMs }, async () => {
    const read = async (bytes: Uint8Array) => {
      const file = await openPytorch(await openRange(bytes, 'hostile'))
      for (const tensor of file.tensors.values()) await tensor.read()
      await file.close()
    }
    const entries = {
      whole: tensorOf('0', floats, [2, 3, 4]),
      turned: tensorOf('0', floats, [4, 2, 3], { strides: [1, 12, 4] }),
      other: tensorOf('1', { kind: 'LongStorage', count: 2, bytes: new Uint8Array(16) }, [2]),
    }
    const storages = { '0': floats, '1': storageOf('LongStorage', BigInt64Array.of(1n, 2n)) }
    await expectHostileSafe(
      read,
      [2, 4].map((protocol) => save(stateDict(entries), storages, { protocol })),
    )
  })
})

describe('openPytorch', () => {
  it('turns the bytes of a machine that writes large ends first', async () => {
    const data = Uint8Array.of(0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0)
    const storage = { kind: 'FloatStorage', count: 2, bytes: data }
    const file = await open(
      saveZip(stateDict({ a: tensorOf('0', storage, [2]) }), { '0': storage }, { bigEndian: true }),
    )
    expect((await valuesOf(file)).a[2]).toEqual([1.5, -2])
    expect([...data]).toEqual([0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0])
  })

  it('reads types without a storage of their own, and views of old files', async () => {
    const bytes = storageOf('UntypedStorage', Uint8Array.of(1, 0, 255, 255))
    const untyped = new Outside(new Tuple('storage', new Name('torch.storage.UntypedStorage'), '0', 'cpu', 4))
    const args: Value[] = [untyped, 0, new Tuple(2), new Tuple(1), false, null, new Name('torch.uint16'), null]
    const typed = new Called('torch._utils._rebuild_tensor_v3', args)
    expect(await valuesOf(await open(saveZip(stateDict({ a: typed }), { '0': bytes })))).toEqual({
      a: ['U16', [2], [1, 65535]],
    })
    const view = tensorOf('0', floats, [2], { offset: 1, id: [new Tuple('view', 4, 8)] })
    expect((await valuesOf(await open(saveLegacy(stateDict({ a: view }), { '0': floats })))).a[2]).toEqual([2.5, 3])
  })

  it('reads a pickle that is longer than what is read of the file at first', async () => {
    const entries = Object.fromEntries(
      Array.from({ length: 3000 }, (_, i) => [`layer${i}.weight`, tensorOf('0', floats, [24])]),
    )
    const bytes = saveLegacy(stateDict(entries), { '0': floats })
    expect(bytes.length).toBeGreaterThan(2 ** 17)
    expect((await open(bytes)).tensors.size).toBe(3000)
  })

  it('does not repeat work that a pickle asks for again and again', async () => {
    const list = Array.from({ length: 200 }, (_, i) => i)
    const bytes = [...pickle(list)].slice(0, -1)
    // The list into the memo, then list(it) until the pickle is much longer than what it holds.
    bytes.push(0x71, 1, ...new TextEncoder().encode('c__builtin__\nlist\n'), 0x71, 2)
    for (let i = 0; i < 3000; i++) bytes.push(0x68, 2, 0x68, 1, 0x85, 0x52)
    const archive = writeZip([{ name: 'a/data.pkl', bytes: Uint8Array.from([...bytes, 0x2e]) }])
    expect(await messageOf(archive)).toContain('the pickle copies the same values again and again')
  })

  it('comes to an end with values that hold themselves or each other many times', async () => {
    const dict = (...codes: readonly (number | string)[]) =>
      codes.flatMap((c) => (typeof c === 'number' ? [c] : [...new TextEncoder().encode(c)]))
    const key = (name: string) => dict('X', name.length, 0, 0, 0, name)
    const file = (pickled: readonly number[]) =>
      writeZip([{ name: 'a/data.pkl', bytes: Uint8Array.from([...pickled, 0x2e]) }])
    const itself = dict('}q', 0, ...key('model'), 'h', 0, 's')
    expect(await messageOf(file(itself))).toContain('the file holds no weights')
    // Thirty dicts, each with the one before in it twice.
    const doubled = dict('}q', 0)
    for (let i = 1; i <= 30; i++) {
      doubled.push(...dict('}q', i, '(', ...key('net'), 'h', i - 1, ...key('model'), 'h', i - 1, 'u'))
    }
    expect(await messageOf(file(doubled))).toContain('the file holds no weights')
    // A thousand names inside a long one, which would be held a thousand times.
    const long = [0x7d, 0x28, 0x58, 0, 0, 1, 0, ...new Uint8Array(1 << 16).fill(0x61), 0x7d, 0x28]
    const storage = new Tuple('storage', new Name('torch.FloatStorage'), '0', 'cpu', 0)
    const args = new Tuple(new Outside(storage), 0, new Tuple(0), new Tuple(1))
    const made = [...pickle(new Called('torch._utils._rebuild_tensor_v2', args.items))].slice(2, -1)
    const inner = Array.from({ length: 1000 }, (_, i) => [...key(String(i)), ...made]).flat()
    expect(await messageOf(file([...long, ...inner, 0x75, 0x75]))).toContain('the file holds no weights')
    const deep = [...Array.from({ length: 200_000 }, () => 0x5d), ...Array.from({ length: 199_999 }, () => 0x61)]
    expect(await messageOf(file(deep))).toContain('the file holds no weights')
  })

  it('runs any program of instructions to a FormatError', async () => {
    const names = [
      'collections.OrderedDict',
      'torch._utils._rebuild_tensor_v2',
      'torch.FloatStorage',
      'builtins.list',
      'os.system',
    ]
    const instructions: readonly (readonly (number | string)[])[] = [
      ...[...'N(012)]}taeulsdbRQo'].map((character) => [character]),
      ...[0x81, 0x85, 0x86, 0x87, 0x88, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94].map((code) => [code]),
      ...names.map((name) => ['c', ...name.replace(/\.(?=[^.]*$)/, '\n'), '\n']),
      ...[0, 1, 2, 3].flatMap((i) => [
        ['h', i],
        ['q', i],
        ['K', i],
      ]),
      ['X', 7, 0, 0, 0, ...'storage'],
    ]
    const random = new Random(5)
    const seen = new Set<string>()
    for (let round = 0; round < 5000; round++) {
      const program = Array.from(
        { length: 1 + random.integer(40) },
        () => instructions[random.integer(instructions.length)],
      )
      const codes = program.flat().map((code) => (typeof code === 'string' ? code.charCodeAt(0) : code))
      const message = await messageOf(writeZip([{ name: 'a/data.pkl', bytes: Uint8Array.from([...codes, 0x2e]) }]))
      expect(message).toMatch(/^(FormatError|UnsupportedError): w\.pt: .*\(at byte offset \d+\)\./)
      seen.add(message.replace(/\d+/g, ''))
    }
    expect(seen.size).toBeGreaterThan(20)
  })

  it('refuses other archives and other pickles', async () => {
    const empty = { bytes: new Uint8Array(0) }
    expect(await messageOf(writeZip([{ name: 'word/document.xml', ...empty }]))).toBe(
      `FormatError: w.pt: the zip archive is no PyTorch file (at byte offset 0).
  got       word/document.xml
  expected  one folder with data.pkl in it
  fix       the file is damaged or no PyTorch file: get it again`,
    )
    const script = writeZip(['data.pkl', 'constants.pkl'].map((name) => ({ name: `m/${name}`, ...empty })))
    expect(await messageOf(script)).toContain('UnsupportedError: w.pt: the file is a TorchScript program')
    const tar = new Uint8Array(1024)
    tar.set(new TextEncoder().encode('ustar'), 257)
    expect(await messageOf(tar)).toContain('the file is a tar archive, the form of PyTorch before 0.1.10')
    expect(await messageOf(pickle(['a']))).toContain(
      'FormatError: w.pt: the pickle is not of a PyTorch file (at byte offset 0).\n  got       a list of 1',
    )
    expect(await messageOf(pickle(new Called('posix.system', ['x'])))).toContain('the pickle calls posix.system')
    const oldest = new TextEncoder().encode("cposix\nsystem\n(S'x'\ntR.")
    expect(await messageOf(oldest)).toContain(
      'the pickle calls posix.system (os.system), which no file of weights needs (at byte offset 21)',
    )
    expect(await messageOf(new TextEncoder().encode("(S'x'\niposix\nsystem\n."))).toContain(
      'the pickle calls posix.system',
    )
    expect(await messageOf(new TextEncoder().encode('(cposix\nsystem\nNo.'))).toContain('the pickle calls posix.system')
    expect(await messageOf(Uint8Array.of(1, 2, 3))).toContain('this is no PyTorch file (at byte offset 0)')
    expect(await messageOf(new Uint8Array(0))).toContain('got       no bytes at all')
    expect(await messageOf(Uint8Array.of(0x80, 9, 0x2e))).toContain(
      'the pickle is of a protocol that is not known (at byte offset 0)',
    )
    expect(await messageOf(Uint8Array.of(0x80, 2, 0x5d))).toContain(
      'the file ends inside an instruction (at byte offset 3)',
    )
  })
})
