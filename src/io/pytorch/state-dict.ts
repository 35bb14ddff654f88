/** Where in what a file holds its weights are. */
import type { FormatError } from '../../base/errors.ts'
import { StridedTensor } from './rules.ts'
import { kindOf, PyDict, PyList, PyTuple, type PyValue } from './values.ts'

export interface StateDict {
  /** By name, in the file's order. */
  readonly tensors: ReadonlyMap<string, StridedTensor>
  /** Texts and numbers beside the weights: `epoch`, `best_prec1`. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Names under which training programs keep weights, the usual ones first. */
const usual = ['state_dict', 'model_state_dict', 'model', 'net', 'weights', 'params', 'network', 'module', 'state']
/** What wrappers of PyTorch put in front of every name: DataParallel and torch.compile. */
const wrappers = ['module.', '_orig_mod.']
const deepest = 8
/** Of a tensor, with those of the dicts it is in: names are joined, and so could a few long ones be without end. */
const longestName = 2000
const mostMetadata = 1000

/**
 * The tensors of a file's value: the value itself when it is a dict of tensors, or the dict under one of the usual names.
 * Dicts inside are joined to their names by dots; what wrappers put in front of all names is taken away.
 * @param fail makes an error about the value as a whole
 */
export function findStateDict(
  root: PyValue,
  fail: (what: string, got: string, expected: string) => FormatError,
): StateDict {
  const metadata: Record<string, string> = {}
  let value = root
  for (let depth = 0; value instanceof PyDict && depth < deepest; depth++) {
    const { map }: PyDict = value
    noteScalars(map, metadata)
    // Before tensors beside it (a loss): a state dict has no dicts inside.
    const key = usual.find((name) => holdsTensors(map.get(name)))
    if (key === undefined) break
    value = map.get(key) as PyValue
  }
  const tensors = new Map<string, StridedTensor>()
  collect(value, '', tensors, 0)
  if (tensors.size === 0) {
    const keys = root instanceof PyDict ? [...root.map.keys()].slice(0, 8).map(kindOf).join(', ') : ''
    throw fail(
      'the file holds no weights',
      root instanceof PyDict ? `a dict of ${keys === '' ? 'nothing' : keys}` : kindOf(root),
      `a state dict, or one under ${usual.slice(0, 6).join(', ')}`,
    )
  }
  return unwrap(tensors, metadata)
}

const isTensor = (value: PyValue) => value instanceof StridedTensor

/** Whether a dict, or one a little further inside, has tensors. Each is looked at once, however often it is there. */
function holdsTensors(value: PyValue | undefined, depth = 0, seen: Set<PyValue> = new Set()): boolean {
  if (!(value instanceof PyDict) || seen.has(value)) return false
  seen.add(value)
  const values = [...value.map.values()]
  return values.some(isTensor) || (depth < 2 && values.some((inner) => holdsTensors(inner, depth + 1, seen)))
}

function noteScalars(map: ReadonlyMap<PyValue, PyValue>, metadata: Record<string, string>): void {
  let count = 0
  for (const [key, value] of map) {
    const scalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    if (typeof key !== 'string' || !scalar || count++ >= mostMetadata) continue
    Object.defineProperty(metadata, key, { value: String(value), enumerable: true, configurable: true })
  }
}

/** Adds the tensors in a value. Each container once, so that one that holds itself comes to an end. */
function collect(
  value: PyValue,
  name: string,
  tensors: Map<string, StridedTensor>,
  depth: number,
  seen: Set<PyValue> = new Set(),
): void {
  if (value instanceof StridedTensor) tensors.set(name === '' ? 'tensor' : name, value)
  const isList = value instanceof PyList || value instanceof PyTuple
  if (!(isList || value instanceof PyDict) || depth >= deepest || seen.has(value)) return
  seen.add(value)
  const entries = value instanceof PyDict ? value.map : value.items.entries()
  for (const [key, inner] of entries) {
    if (typeof key !== 'string' && typeof key !== 'number') continue
    const joined = name === '' ? String(key) : `${name}.${key}`
    if (joined.length <= longestName) collect(inner, joined, tensors, depth + 1, seen)
  }
}

function unwrap(tensors: ReadonlyMap<string, StridedTensor>, metadata: Record<string, string>): StateDict {
  const names = [...tensors.keys()]
  const wrapper = wrappers.find((prefix) =>
    names.every((name) => name.startsWith(prefix) && name.length > prefix.length),
  )
  if (wrapper === undefined) return { tensors, metadata }
  const shorter = new Map([...tensors].map(([name, tensor]) => [name.slice(wrapper.length), tensor]))
  return unwrap(shorter, metadata)
}
