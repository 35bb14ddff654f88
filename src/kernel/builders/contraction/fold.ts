/** Adds the pieces of a result in their order, then applies an epilogue. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Expr, Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from './epilogue.ts'

export interface FoldArguments {
  readonly pieces: number
  readonly rows: number
  /** Columns of a row: what the epilogue's channel operands have. */
  readonly columns: number
}

const elementsPerTask = 8192

export function foldSpec(epilogue: EpilogueShape): KernelSpec {
  const key = `fold|${epilogueKey(epilogue)}`
  return { key, build: (target) => buildFold(epilogue, key, target) }
}

export function foldCall({ pieces, rows, columns }: FoldArguments): { params: number[]; tasks: number; work: number } {
  const perTask = Math.max(1, Math.min(rows, Math.ceil(elementsPerTask / Math.max(1, columns * pieces))))
  const tasks = rows * columns === 0 ? 0 : Math.ceil(rows / perTask)
  return { params: [pieces, rows, columns, perTask], tasks, work: pieces * rows * columns }
}

function buildFold(shape: EpilogueShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', 'f32', 'input')
  const epilogue = new EpilogueEmitter(k, shape)
  const [pieces, rows, columns, perTask] = ['pieces', 'rows', 'columns', 'perTask'].map((name) => k.int(name))
  epilogue.declareConstants()

  const row = k.function('row', [{ int: 'row' }], (index) => {
    const start = k.let(mul(index, columns))
    const next = k.let(mul(rows, columns))
    const step = (column: Expr, lanes: number) => {
      const out = k.let(add(start, column))
      const from = k.point(x, out)
      const load = () => (lanes === 1 ? k.load(from) : k.loadVector(from))
      const sum = k.variable(load(), 'sum')
      k.repeat(sub(pieces, 1), () => {
        k.advance(from, next)
        k.set(sum, add(sum.value, load()))
      })
      const cursors = epilogue.open(out, column)
      epilogue.emit(sum.value, cursors, epilogue.columnOperands(cursors, 0, lanes), 0, lanes)
    }
    if (k.lanes === 1) {
      k.loop(columns, (i) => step(i, 1))
      return
    }
    const vectors = k.let(div(columns, k.lanes))
    k.loop(vectors, (i) => step(k.let(mul(i, k.lanes)), k.lanes))
    const done = k.let(mul(vectors, k.lanes))
    k.loop(rem(columns, k.lanes), (i) => step(k.let(add(done, i)), 1))
  })
  k.task((task) => {
    const first = k.let(mul(task, perTask))
    k.loop(min(sub(rows, first), perTask), (i) => k.call(row, add(first, i)))
  })
  return k.build(`fold${epilogueName(shape)}_${target.name}`, key)
}
