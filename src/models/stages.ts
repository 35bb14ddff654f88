/** Which parameters a network has where: by pattern, and in groups from the input to the output. */
import { ConfigError, didYouMean } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import * as nn from '../nn/index.ts'
import { dryScope, type Model } from '../nn/model.ts'
import type { Parameter } from '../tensor/index.ts'
import { findHead } from './head.ts'

/**
 * Paths: `layer4.1.conv2.weight`, or the beginning of some (`layer4`). `*` stands for anything, `{0-9}` for one of these
 * numbers, `{conv1,bn1}` for one of these words. Regular expressions are looked for anywhere in a path.
 */
export type PathPattern = string | RegExp

/** A run of blocks that see the picture at the same size. */
export interface Stage {
  /** Paths of its blocks, from the input to the output: `layer2.0`, `layer2.1`. */
  readonly blocks: readonly string[]
  /** Paths of their parameters. */
  readonly parameters: readonly string[]
  /** Input pixels from one place of what the stage gives to the next, below 1 where it is larger; undefined where no places are left. */
  readonly stride: number | undefined
  /** Whether it is the network's head, which is a stage of its own. */
  readonly head: boolean
}

/** `a.{0-2,x}.*` as a regular expression. */
function expression(pattern: string): RegExp {
  const parts = pattern.split(/(\*|\{[^{}]*\})/)
  const source = parts.map((part) => {
    if (part === '*') return '.*'
    const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    if (!part.startsWith('{')) return literal(part)
    const choices = part.slice(1, -1).split(',')
    return `(?:${choices.flatMap((choice) => numbers(pattern, choice) ?? literal(choice)).join('|')})`
  })
  return new RegExp(`^${source.join('')}(?:\\..*)?$`)
}

/** All numbers of `3-12`. */
function numbers(pattern: string, choice: string): string[] | undefined {
  const [, first, last] = /^(\d+)-(\d+)$/.exec(choice.trim()) ?? []
  if (first === undefined) return undefined
  const count = Number(last) - Number(first) + 1
  if (count >= 1 && count <= 10_000) return Array.from({ length: count }, (_, i) => String(Number(first) + i))
  throw new ConfigError({
    where: 'models.parametersOf',
    what: 'a range in the pattern makes no sense',
    got: `'${pattern}'`,
    expected: 'the smaller number first, and at most 10,000 of them: {0-9}',
    fix: 'correct the range',
  })
}

/**
 * The parameters whose paths match a pattern, or one of several, in the order of the layers.
 * @throws ConfigError when a pattern matches nothing, or holds a range that makes no sense
 * @example
 * for (const parameter of models.parametersOf(model, ['conv1', 'bn1', 'layer{1-3}'])) parameter.trainable = false
 */
export function parametersOf(model: Model, pattern: PathPattern | readonly PathPattern[]): Parameter[] {
  const patterns = pattern instanceof RegExp || typeof pattern === 'string' ? [pattern] : pattern
  const chosen = new Set<Parameter>()
  for (const one of patterns) {
    // A regular expression with the flag g or y remembers where it was.
    const matches = one instanceof RegExp ? new RegExp(one.source, one.flags.replace(/[gy]/g, '')) : expression(one)
    const found = model.parameters.filter(({ name }) => name === one || matches.test(name))
    if (found.length === 0) throw unmatched(model, one)
    for (const parameter of found) chosen.add(parameter)
  }
  return model.parameters.filter((parameter) => chosen.has(parameter))
}

function unmatched(model: Model, pattern: PathPattern): ConfigError {
  const names = model.parameters.map(({ name }) => name)
  const blocks = [...new Set(names.map((name) => blockOf(name.slice(0, Math.max(0, name.lastIndexOf('.'))))))]
  const outer = names.map((name) => name.split('.')[0])
  const some =
    blocks.length > 12 ? `${blocks.slice(0, 11).join(', ')} … ${blocks[blocks.length - 1]}` : blocks.join(', ')
  return new ConfigError({
    where: 'models.parametersOf',
    what: 'no parameter of the model has such a path',
    got: pattern instanceof RegExp ? String(pattern) : `'${pattern}'`,
    expected: `paths that begin with ${some}`,
    fix:
      pattern instanceof RegExp ? 'correct the expression' : didYouMean(pattern, [...new Set([...outer, ...blocks])]),
  })
}

/**
 * The block that a layer belongs to, by its path: up to the first name with a number, and one more number where a layer's
 * name follows. `layer2.0` of `layer2.0.conv1`, `features.3` of `features.3.conv.0.0`, `conv1` of `conv1`.
 */
function blockOf(path: string): string {
  const names = path.split('.')
  const first = names.findIndex((name) => /\d/.test(name))
  if (first < 0) return path
  const further = /^\d+$/.test(names[first + 1] ?? '') && first + 2 < names.length
  return names.slice(0, first + (further ? 2 : 1)).join('.')
}

/** Paths of parameters by the path of their layer. */
function parametersByLayer(net: nn.Layer, input: Shape): Map<string, string[]> {
  const found = new Map<string, string[]>()
  const collecting = (scope: nn.Scope): nn.Scope => ({
    ...scope,
    child: (name) => collecting(scope.child(name)),
    parameter(...of) {
      const parameter = scope.parameter(...of)
      found.set(scope.path, [...(found.get(scope.path) ?? []), parameter.name])
      return parameter
    },
  })
  net.build(collecting(dryScope('')), input)
  return found
}

/** Pixels from one place to the next; undefined where there are no places; `'any'` of numbers that depend on no input. */
type Stride = number | undefined | 'any'

interface Block {
  readonly path: string
  readonly parameters: string[]
  stride: Stride
}

interface Flow {
  readonly stride: Stride
  /** Blocks on the way here since there are no places. */
  readonly without: readonly Block[]
}

/** Blocks in the order in which data reaches them, with the stride of what they give. */
function blocksOf(net: nn.Layer, input: Shape): Iterable<Block> {
  const parameters = parametersByLayer(net, input)
  const blocks = new Map<string, Block>()
  nn.followLayers<Flow>(net, input, { stride: 1, without: [] }, ({ path, layer, inputs, output }) => {
    const varying = inputs.filter(({ value }) => value.stride !== 'any')
    const from = varying.find(({ value }) => value.stride !== undefined) ?? varying[0]
    const stride = leaving(layer, from, output)
    // Where a vector of the whole picture meets places again (squeeze and excitation), it belongs to them.
    const without = inputs.flatMap(({ value }) => value.without)
    if (from?.value.stride !== undefined) for (const block of without.splice(0)) block.stride = from.value.stride
    const own = parameters.get(path)
    if (own !== undefined) {
      const at = blockOf(path)
      const block = blocks.get(at) ?? { path: at, parameters: [], stride }
      block.parameters.push(...own)
      if (stride !== 'any') block.stride = stride
      blocks.set(at, block)
      parameters.delete(path)
      if (stride === undefined) without.push(block)
    }
    return { stride, without }
  })
  return blocks.values()
}

/** Stride of what a layer gives, by the input that says where places lie. */
function leaving(layer: nn.Layer, from: nn.Arrived<Flow> | undefined, output: Shape): Stride {
  if (from === undefined) return 'any'
  const { stride } = from.value
  const { window, seesAll } = layer.cost?.(from.shape, output) ?? {}
  if (typeof stride !== 'number' || output.length <= 1 || seesAll === true) return undefined
  // Thirds and the like come back to whole numbers.
  return Number((stride * (window?.stride[0] ?? 1)).toPrecision(12))
}

/**
 * The blocks of a network in groups, from the input to the output: a group holds the blocks between two that stride; those
 * without places, behind a flatten or a global pool, are one too, and the head is the last. Freezing and learning rates by
 * depth go by them. They follow from what the layers do, not from names, so that networks from elsewhere have them too.
 * @param input for layers: shape of one sample
 * @throws ShapeError when the layers do not fit
 * @example
 * const [stem, ...later] = models.stages(model)
 * for (const parameter of models.parametersOf(model, stem.parameters)) parameter.trainable = false
 */
export function stages(net: Model): Stage[]
export function stages(net: nn.Layer, input: Shape): Stage[]
export function stages(net: Model | nn.Layer, input: Shape = []): Stage[] {
  const [layer, shape] = typeof net === 'function' ? [net.net, net.inputShape] : [net, input]
  const found = findHead(layer, shape)
  const isOfHead = (name: string): boolean =>
    found !== undefined && 'way' in found && name.startsWith(found.way.map((inner) => `${inner}.`).join(''))
  const groups: { blocks: string[]; parameters: string[]; stride: Stride; head: boolean }[] = []
  for (const { path, parameters, stride } of blocksOf(layer, shape)) {
    const ofHead = parameters.filter(isOfHead)
    const others = parameters.filter((name) => !isOfHead(name))
    const last = groups[groups.length - 1]
    if (
      others.length > 0 &&
      last !== undefined &&
      (stride === 'any' || last.stride === 'any' || last.stride === stride)
    ) {
      last.blocks.push(path)
      last.parameters.push(...others)
      if (last.stride === 'any') last.stride = stride
    } else if (others.length > 0) {
      groups.push({ blocks: [path], parameters: others, stride, head: false })
    }
    if (ofHead.length > 0) groups.push({ blocks: [path], parameters: ofHead, stride, head: true })
  }
  return groups.map((group) => ({ ...group, stride: group.stride === 'any' ? undefined : group.stride }))
}
