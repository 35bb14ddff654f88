/**
 * What a pickle of weights may call: how PyTorch, collections and numbers are made again. Each is known by its name and
 * done here; anything else is refused with its name, and nothing of a file is ever executed.
 */
import { type FormatError, UnsupportedError } from '../../base/errors.ts'
import type { StoredDType } from '../weights/source.ts'
import type { ErrorHere, PickleRules } from './machine.ts'
import { kindOf, PyDict, PyGlobal, PyList, PyObject, PySet, PyTuple, type PyValue } from './values.ts'

/** Values that a file holds beside its pickle, by key; `type` is what they are. */
export class Storage extends PyObject {
  readonly key: string
  /** A storage's class as PyTorch calls it: `FloatStorage`, `UntypedStorage`. */
  readonly kind: string
  /** Elements; of an untyped storage bytes. */
  readonly count: number
  /** The elements of another storage that this one is, in files of old: [first, count]. */
  readonly view: readonly [offset: number, count: number] | undefined

  constructor(key: string, kind: string, count: number, view?: readonly [number, number]) {
    super(kind)
    this.key = key
    this.kind = kind
    this.count = count
    this.view = view
  }
}

/** A tensor: how it looks at its storage. Counted in elements. */
export class StridedTensor extends PyObject {
  readonly storage: Storage
  /** PyTorch's name of the element type: `float32`; undefined when the storage has one. */
  readonly dtype: string | undefined
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** An error at the instruction that made it. */
  readonly error: ErrorHere

  constructor(
    storage: Storage,
    dtype: string | undefined,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
    error: ErrorHere,
  ) {
    super('a tensor')
    this.storage = storage
    this.dtype = dtype
    this.offset = offset
    this.shape = shape
    this.strides = strides
    this.error = error
  }
}

/** Element types by PyTorch's names for storages and for dtypes. */
export const torchDTypes: Readonly<Record<string, StoredDType>> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
}

export const saveWeightsAlone =
  "where the file can be trusted, load it in PyTorch and save the weights alone: torch.save(model.state_dict(), 'weights.pt')"

type Call = (args: readonly PyValue[], error: ErrorHere) => PyValue

const emptyDict: Call = () => new PyDict()
const inert =
  (type: string): Call =>
  () =>
    new PyObject(type)

const calls: Readonly<Record<string, Call>> = {
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_tensor_v3': rebuildTypedTensor,
  'torch._utils._rebuild_parameter': first,
  'torch._utils._rebuild_parameter_with_state': first,
  'torch.nn.parameter.Parameter': first,
  'torch.nn.parameter.Buffer': first,
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  'torch.Size': first,
  'torch.device': inert('torch.device'),
  'torch.serialization._get_layout': inert('torch.layout'),
  'collections.OrderedDict': dictOf,
  'collections.Counter': dictOf,
  'collections.defaultdict': emptyDict,
  'builtins.dict': dictOf,
  'builtins.list': (args, error) => new PyList([...itemsOf(args, error)]),
  'builtins.tuple': (args, error) => new PyTuple([...itemsOf(args, error)]),
  'builtins.set': (args, error) => new PySet([...itemsOf(args, error)]),
  'builtins.frozenset': (args, error) => new PySet([...itemsOf(args, error)]),
  'builtins.bytes': () => new Uint8Array(0),
  'builtins.bytearray': inert('bytearray'),
  'builtins.complex': inert('complex'),
  'builtins.slice': inert('slice'),
  '_codecs.encode': encode,
  'numpy.dtype': inert('numpy.dtype'),
  'numpy.core.multiarray.scalar': inert('a NumPy number'),
  'numpy._core.multiarray.scalar': inert('a NumPy number'),
  'numpy.core.multiarray._reconstruct': inert('a NumPy array'),
  'numpy._core.multiarray._reconstruct': inert('a NumPy array'),
  'numpy.core.numeric._frombuffer': inert('a NumPy array'),
  'numpy._core.numeric._frombuffer': inert('a NumPy array'),
  'datetime.datetime': inert('datetime.datetime'),
  'datetime.date': inert('datetime.date'),
  'datetime.timedelta': inert('datetime.timedelta'),
  'pathlib.PosixPath': inert('pathlib.Path'),
  'pathlib.WindowsPath': inert('pathlib.Path'),
  'pathlib.PurePosixPath': inert('pathlib.Path'),
}

/** What checkpoints carry along beside weights: options and optimizers. Such an object is a name here, without its state. */
const records = /^(argparse\.Namespace|types\.SimpleNamespace|torch\.optim\.[\w.]+)$/

/**
 * The rules for PyTorch's files.
 * @param pickleBytes bounds how often values may be copied: once each in what Python writes
 * @param onStorage is told of each storage the pickle names
 */
export function torchRules(pickleBytes: number, onStorage: (storage: Storage, error: ErrorHere) => void): PickleRules {
  let copied = 0
  return {
    call(callee, args, error) {
      const known = Object.hasOwn(calls, callee.name) ? calls[callee.name] : undefined
      const [argument] = args
      if (callee.name === 'copyreg._reconstructor' && argument instanceof PyGlobal) return makeRecord(argument, error)
      if (known === undefined) throw refuseCall(callee, error)
      copied += lengthOf(argument)
      if (copied > pickleBytes) throw error('the pickle copies the same values again and again')
      return known(args, error)
    },
    construct: (type, _args, error) => makeRecord(type, error),
    build(object, _state, error) {
      // A dict's own attributes (a state dict's _metadata), or what an inert record holds.
      if (object instanceof PyDict) return object
      if (object instanceof PyObject && !(object instanceof Storage)) return object
      throw error('the pickle sets the state of what has none', { got: kindOf(object), fix: saveWeightsAlone })
    },
    persistent(id, error) {
      const storage = readStorage(id, error)
      onStorage(storage, error)
      return storage
    },
  }
}

/** What copying a value costs. */
function lengthOf(value: PyValue | undefined): number {
  if (typeof value === 'string') return value.length
  if (value instanceof PyDict) return value.map.size
  return value instanceof PyList || value instanceof PyTuple || value instanceof PySet ? value.items.length : 0
}

function makeRecord(type: PyGlobal, error: ErrorHere): PyValue {
  if (records.test(type.name)) return new PyObject(type.name)
  throw /\.[A-Z]\w*$/.test(type.name) ? refuseObject(type, error) : refuseCall(type, error)
}

/** `os.system` is `posix.system` in a pickle. */
const alias = (name: string) => (/^(posix|nt)\./.test(name) ? `${name} (os.${name.split('.')[1]})` : name)

function refuseCall({ name }: PyGlobal, error: ErrorHere): Error {
  if (name.startsWith('torch._utils._rebuild_')) {
    const fix = 'make it a dense one of floats in PyTorch and save it again: tensor.dequantize(), tensor.to_dense()'
    return unsupported(error('the file holds a tensor of a kind that is not known here'), name, 'dense tensors', fix)
  }
  return error(`the pickle calls ${alias(name)}, which no file of weights needs`, {
    got: name,
    expected: 'tensors, containers and numbers',
    fix: `nothing was executed; do not open the file in Python unless you know where it comes from: ${saveWeightsAlone}`,
  })
}

/** Well-formed, and of no use: only PyTorch with the same classes can make such an object again. */
function refuseObject({ name }: PyGlobal, error: ErrorHere): Error {
  const what = error(`the file holds an object of ${name}, not weights alone`)
  return unsupported(what, name, 'a state dict: names with tensors', saveWeightsAlone)
}

/** The same place, but the file is well-formed. */
export function unsupported({ problem }: FormatError, got: string, expected: string, fix: string): UnsupportedError {
  return new UnsupportedError({ where: problem.where, what: problem.what, got, expected, fix })
}

// ── tensors ──

/** A persistent id: ('storage', type, key, location, count[, view]). */
function readStorage(id: PyValue, error: ErrorHere): Storage {
  const parts = id instanceof PyTuple ? id.items : []
  const [tag, type, key, , count, view] = parts
  if (tag === 'module' && type instanceof PyGlobal) throw refuseObject(type, error)
  const known = type instanceof PyGlobal && /^torch\.(\w+\.)?\w+Storage$/.test(type.name)
  if (tag !== 'storage' || !known || !isLength(count) || !(typeof key === 'string' || typeof key === 'number')) {
    throw error('a storage is not described as PyTorch does', {
      got: parts.length > 0 ? parts.map(kindOf).join(', ') : kindOf(id),
      expected: "('storage', type, key, location, count)",
    })
  }
  const kind = type.name.slice(type.name.lastIndexOf('.') + 1)
  if (!(view instanceof PyTuple)) return new Storage(String(key), kind, count)
  const [, offset, length] = view.items
  if (!isLength(offset) || !isLength(length) || offset + length > count) {
    throw error('a view of a storage reaches beyond it', { got: view.items.map(kindOf).join(', ') })
  }
  return new Storage(String(key), kind, count, [offset, length])
}

const isLength = (value: PyValue | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** (storage, offset, shape, strides, …). */
function rebuildTensor(args: readonly PyValue[], error: ErrorHere): PyValue {
  return makeTensor(args, undefined, error)
}

/** (storage, offset, shape, strides, requires grad, hooks, dtype, …): for types that have no storage of their own. */
function rebuildTypedTensor(args: readonly PyValue[], error: ErrorHere): PyValue {
  const dtype = args[6]
  const name = dtype instanceof PyGlobal ? dtype.name : ''
  if (!name.startsWith('torch.')) throw error('a tensor has no element type', { got: kindOf(dtype ?? null) })
  return makeTensor(args, name.slice('torch.'.length), error)
}

function makeTensor(args: readonly PyValue[], dtype: string | undefined, error: ErrorHere): PyValue {
  const [storage, offset, size, stride] = args
  const shape = size instanceof PyTuple ? size.items : undefined
  const strides = stride instanceof PyTuple ? stride.items : undefined
  const fits =
    storage instanceof Storage &&
    isLength(offset) &&
    shape?.every(isLength) &&
    strides?.every(isLength) &&
    shape.length === strides.length
  if (!fits) {
    throw error('a tensor is not described as PyTorch does', {
      got: args.slice(0, 4).map(kindOf).join(', '),
      expected: 'a storage, an offset, a shape and as many strides, none below 0',
    })
  }
  return new StridedTensor(storage, dtype, offset, shape as number[], strides as number[], error)
}

/** (function, type, args, state): a tensor of a class of its own. */
function rebuildFromType(args: readonly PyValue[], error: ErrorHere): PyValue {
  const [callee, , inner] = args
  const known = callee instanceof PyGlobal && callee.name.startsWith('torch._utils._rebuild_')
  if (!known || !Object.hasOwn(calls, callee.name) || !(inner instanceof PyTuple)) {
    throw callee instanceof PyGlobal ? refuseCall(callee, error) : error('a tensor is not described as PyTorch does')
  }
  return calls[callee.name](inner.items, error)
}

function first(args: readonly PyValue[], error: ErrorHere): PyValue {
  if (args.length === 0) throw error('the pickle calls with too few values', { got: 'none', expected: 'at least one' })
  return args[0]
}

// ── containers ──

function itemsOf(args: readonly PyValue[], error: ErrorHere): readonly PyValue[] {
  if (args.length === 0) return []
  const [items] = args
  if (items instanceof PyList || items instanceof PyTuple || items instanceof PySet) return items.items
  throw error('a container is made of what is none', { got: kindOf(items), expected: 'a list' })
}

/** From nothing, another dict, or pairs. */
function dictOf(args: readonly PyValue[], error: ErrorHere): PyValue {
  const dict = new PyDict()
  if (args[0] instanceof PyDict) for (const [key, value] of args[0].map) dict.map.set(key, value)
  else {
    for (const pair of itemsOf(args, error)) {
      const items = pair instanceof PyTuple || pair instanceof PyList ? pair.items : []
      if (items.length !== 2) throw error('a dict is made of what are no pairs', { got: kindOf(pair) })
      dict.map.set(items[0], items[1])
    }
  }
  return dict
}

/** How protocol 2 writes bytes: a text of the characters 0 to 255. */
function encode(args: readonly PyValue[], error: ErrorHere): PyValue {
  const [text] = args
  if (typeof text !== 'string') throw error('bytes are made of what is no text', { got: kindOf(text ?? null) })
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 255)
}
