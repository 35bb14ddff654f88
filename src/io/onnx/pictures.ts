/** Graphs that take bytes and make of them what their net was trained on: a model does that with pictures by itself. */
import type { PictureNormalization } from '../../nn/model.ts'
import type { Message } from './schema.ts'
import { typeName } from './tensors.ts'
import type { Known } from './values.ts'

type Graph = Message<'Graph'>
type Node = Message<'Node'>

export interface TakenPictures {
  /** The same without the nodes whose work the model does. */
  readonly graph: Graph
  readonly pictures: PictureNormalization
}

/** y = scale · x + shift of bytes x, one number or one a channel. */
interface Affine {
  readonly scale: readonly number[]
  readonly shift: readonly number[]
}

/** More nodes than any preprocessing has. */
const longest = 32

const steps: Readonly<Record<string, (now: Affine, by: readonly number[]) => Affine>> = {
  Mul: ({ scale, shift }, by) => ({ scale: each(scale, by, (a, b) => a * b), shift: each(shift, by, (a, b) => a * b) }),
  Div: ({ scale, shift }, by) => ({ scale: each(scale, by, (a, b) => a / b), shift: each(shift, by, (a, b) => a / b) }),
  Add: ({ scale, shift }, by) => ({ scale, shift: each(shift, by, (a, b) => a + b) }),
  Sub: ({ scale, shift }, by) => ({ scale, shift: each(shift, by, (a, b) => a - b) }),
}

function each(a: readonly number[], b: readonly number[], of: (a: number, b: number) => number): number[] {
  const at = (list: readonly number[], i: number) => list[list.length === 1 ? 0 : i]
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => of(at(a, i), at(b, i)))
}

/**
 * What a graph does first with an input of bytes: casts, transposes, and products and sums with constants.
 * @param constants initializers by name
 * @returns undefined where the input is none of pictures in bytes
 */
export function takePictures(
  graph: Graph,
  constants: ReadonlyMap<string, Known>,
  input: string,
): TakenPictures | undefined {
  const { tensorType } = graph.input.find(({ name }) => name === input)?.type ?? {}
  const dims = tensorType?.shape?.dim.map(({ dimValue }) => dimValue) ?? []
  if (typeName(tensorType?.elemType) !== 'uint8' || dims.length !== 4) return undefined
  let channelsFirst = dims[1] === 1 || dims[1] === 3
  const channels = dims[channelsFirst ? 1 : 3] ?? 0
  let affine: Affine = { scale: [1], shift: [0] }
  const done = new Map<Node, Node>()
  let at = input
  for (let step = 0; step < longest; step++) {
    const takers = graph.node.filter((node) => node.input.includes(at))
    const [node] = takers
    if (takers.length !== 1 || node.output.length !== 1) break
    const change = Object.hasOwn(steps, node.opType ?? '') ? steps[node.opType as string] : undefined
    if (change !== undefined) {
      const by = constantOf(graph, constants, node, at, channels, channelsFirst)
      if (by === undefined) break
      affine = change(affine, by)
      done.set(node, { ...node, opType: 'Identity', input: [at], attribute: [] })
    } else if (node.opType === 'Transpose') {
      const perm = node.attribute.find(({ name }) => name === 'perm')?.ints ?? []
      if (String(perm) !== (channelsFirst ? '0,2,3,1' : '0,3,1,2')) break
      channelsFirst = !channelsFirst
    } else if (node.opType !== 'Cast' && node.opType !== 'Identity') break
    at = node.output[0]
  }
  if (!affine.scale.every((value) => value > 0 && Number.isFinite(value))) return undefined
  const { scale, shift } = affine
  // (x / 255 - mean) / std = scale · x + shift
  const std = scale.map((value) => 1 / (255 * value))
  const mean = each(shift, std, (a, b) => (a === 0 ? 0 : -a * b))
  // The file's numbers are in single precision.
  const short = (list: readonly number[]) => {
    const rounded = list.map((value) => Number(value.toPrecision(6)))
    return rounded.every((value) => value === rounded[0]) ? rounded[0] : rounded
  }
  return {
    graph: { ...graph, node: graph.node.map((node) => done.get(node) ?? node) },
    pictures: { mean: short(mean), std: short(std) },
  }
}

/** The numbers that a node adds or multiplies: one, or one a channel. */
function constantOf(
  graph: Graph,
  constants: ReadonlyMap<string, Known>,
  node: Node,
  at: string,
  channels: number,
  channelsFirst: boolean,
): readonly number[] | undefined {
  const [a, b] = node.input
  const isSecond = a === at
  if (node.input.length !== 2 || (!isSecond && (node.opType === 'Sub' || node.opType === 'Div'))) return undefined
  const known = constants.get(isSecond ? b : a)
  if (known === undefined || known.type !== 'float') return undefined
  const dims = [...known.dims]
  while (dims[0] === 1) dims.shift()
  const fits = dims.length === 0 || String(dims) === (channelsFirst ? `${channels},1,1` : `${channels}`)
  if (!fits || graph.output.some(({ name }) => name === at)) return undefined
  return Array.from(known.data, Number)
}
