/** Names of layers, from what files call their weights and nodes. */
import type { Message } from './schema.ts'

/** Operators whose node stands for a whole module of the exporter's framework. */
const modules = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'Linear',
  'MatMul',
  'BatchNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'LayerNormalization',
  'PRelu',
])

/** Longer names are cut: they come from files. */
const longest = 200

const lowerFirst = (text: string) => text.slice(0, 1).toLowerCase() + text.slice(1)

/** What every path may hold; paths are names in files. */
function clean(name: string): string {
  const kept = name
    .slice(0, longest)
    .replace(/[^\w.-]+/g, '_')
    .replace(/\.{2,}/g, '.')
    .replace(/^[._-]+|[._-]+$/g, '')
  return kept in {} || kept === 'input' ? `${kept}_` : kept
}

/** `layer1.0.conv1.weight` is a path; `onnx::Conv_193` and `12` are numbers of an exporter. */
function pathOf(initializer: string): string | undefined {
  const dot = initializer.lastIndexOf('.')
  if (dot <= 0 || initializer.length > longest || initializer.includes('::') || /^[\d.]+$/.test(initializer))
    return undefined
  return clean(initializer.slice(0, dot))
}

/** `/layer1/layer1.0/conv1/Conv` → `layer1.0.conv1`; names that say no more than the operator give undefined. */
function fromNode(name: string, opType: string): string | undefined {
  const parts = name
    .slice(0, 2 * longest)
    .split('/')
    .filter((part) => part !== '')
  const isOperator = new RegExp(`^${opType}(_\\d+)?$`)
  const own = parts.length > 0 && isOperator.test(parts[parts.length - 1])
  if (own) parts.pop()
  if (parts.length === 0) return undefined
  const nested = parts.filter((part, i) => !parts[i + 1]?.startsWith(`${part}.`))
  const path = nested.join('.')
  const last = nested[nested.length - 1].toLowerCase()
  const isModule = !own || modules.has(opType) || last.startsWith(opType.toLowerCase())
  return clean(isModule ? path : `${path}.${lowerFirst(opType)}`)
}

/** Gives each node's layer a name. */
export class Names {
  readonly #counts = new Map<string, number>()

  /** @param initializers names of the node's inputs that are initializers */
  of(node: Message<'Node'>, initializers: readonly string[]): string {
    const opType = clean(node.opType ?? '')
    for (const initializer of initializers) {
      const path = pathOf(initializer)
      if (path !== undefined && path !== '') return path
    }
    const named = fromNode(node.name ?? '', opType)
    if (named !== undefined && named !== '' && !/^[\d._]+$/.test(named)) return named
    const kind = lowerFirst(opType === '' ? 'layer' : opType)
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    return `${kind}${count}`
  }

  /** For a constant that becomes a layer of its own. */
  static ofValue(initializer: string): string {
    return clean(initializer) || 'value'
  }
}
