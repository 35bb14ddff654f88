/** Follows views to the values behind them, so that maps and reductions read through strides instead of copying. */
import { type Shape, sizeOf, stridesOf } from '../base/shape.ts'
import type { Layout } from '../graph/layout.ts'
import type { Node } from '../graph/node.ts'

/** Where a node's elements lie: in the buffer of `source`, which is no view. */
export interface Access {
  readonly source: Node
  readonly layout: Layout
}

export function contiguous(shape: Shape): Layout {
  return { shape, strides: stridesOf(shape), offset: 0 }
}

/** Whether the elements lie one after the other; extents of 1 may have any stride. */
export function isContiguous(layout: Layout): boolean {
  const strides = stridesOf(layout.shape)
  return layout.shape.every((extent, axis) => extent === 1 || layout.strides[axis] === strides[axis])
}

/**
 * Whether an access reads its source from the first to the last element: at most its shape is another. Axes of 1 are not
 * special: a value repeated along an axis is no such access because that axis happens to be 1.
 */
export function isWhole({ source, layout }: Access): boolean {
  const strides = stridesOf(layout.shape)
  const plain = layout.strides.every((stride, axis) => stride === strides[axis])
  return layout.offset === 0 && plain && sizeOf(layout.shape) === sizeOf(source.shape)
}

export class Accesses {
  /** Views that get a buffer of their own. */
  readonly copied = new Set<Node>()
  readonly #known = new Map<Node, Access>()

  /** Must be asked for inputs before readers. */
  of(node: Node): Access {
    if (node.op.kind !== 'view' || this.copied.has(node)) return { source: node, layout: contiguous(node.shape) }
    const known = this.#known.get(node)
    if (known !== undefined) return known
    const access = this.#through(node)
    this.#known.set(node, access)
    return access
  }

  /** The access of a view as if it were not copied: what its copy reads. */
  behind(node: Node): Access {
    return this.#known.get(node) ?? this.#through(node)
  }

  #through(node: Node): Access {
    if (node.op.kind !== 'view') throw new Error(`${node.op.name} is no view`)
    const [input] = node.inputs
    const inner = this.of(input)
    const layout = node.op.view(inner.layout, node.shape, node.attributes)
    if (layout !== undefined) return { source: inner.source, layout }
    this.copied.add(input)
    const direct = node.op.view(contiguous(input.shape), node.shape, node.attributes)
    if (direct === undefined) throw new Error(`${node.op.name}: no view of a contiguous tensor`)
    return { source: input, layout: direct }
  }

  /** Gives a view a buffer of its own. */
  copy(node: Node): void {
    if (node.op.kind !== 'view') return
    this.behind(node)
    this.copied.add(node)
  }
}

/** A text for an access, to find operands that are read twice. */
export function accessKey(access: Access): string {
  return `${access.source.id}@${access.layout.offset}:${access.layout.strides.join()}`
}
