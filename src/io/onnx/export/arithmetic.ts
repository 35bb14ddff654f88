/** Arithmetic with one input, with a number, and between inputs. */
import { UnsupportedError } from '../../../base/errors.ts'
import { type Shape, sameShape } from '../../../base/shape.ts'
import { tensorTypes } from '../schema.ts'
import { alike } from './arranging.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { Value, ValueType } from './graph.ts'
import { type Layout, natural, ordered, orderOf, sameLayout, sampleShape } from './layout.ts'

const types: Readonly<Record<string, ValueType>> = { f32: 'float', i32: 'int32', u8: 'uint8', bool: 'bool' }

/** A node whose name says that it is a part of a layer. */
type Part = (part: string, type: string, ...inputs: string[]) => string
const partsOf =
  ({ graph, name }: ExportStep): Part =>
  (part, type, ...inputs) =>
    graph.node(`${name}/${part}`, type, inputs)

const typed = (step: ExportStep, name: string, from: ValueType, to: ValueType): string =>
  from === to ? name : step.graph.node(`${step.name}/${to}`, 'Cast', [name], { to: tensorTypes[to] })

/** Functions that are an operator, and what each gives. */
const unaries: Readonly<Record<string, string>> = {
  abs: 'Abs',
  neg: 'Neg',
  sign: 'Sign',
  sqrt: 'Sqrt',
  reciprocal: 'Reciprocal',
  exp: 'Exp',
  log: 'Log',
  sin: 'Sin',
  cos: 'Cos',
  tan: 'Tan',
  sinh: 'Sinh',
  cosh: 'Cosh',
  asin: 'Asin',
  acos: 'Acos',
  atan: 'Atan',
  asinh: 'Asinh',
  acosh: 'Acosh',
  atanh: 'Atanh',
  erf: 'Erf',
  floor: 'Floor',
  ceil: 'Ceil',
  round: 'Round',
  isNaN: 'IsNaN',
  isInfinite: 'IsInf',
  not: 'Not',
}

type Formula = (x: string, part: Part, step: ExportStep) => readonly [type: string, ...inputs: string[]]

/** Functions of several nodes: the last one. */
const formulas: Readonly<Record<string, Formula>> = {
  square: (x) => ['Mul', x, x],
  rsqrt: (x, part) => ['Reciprocal', part('sqrt', 'Sqrt', x)],
  expm1: (x, part, { graph }) => ['Sub', part('exp', 'Exp', x), graph.scalar(1)],
  log1p: (x, part, { graph }) => ['Log', part('sum', 'Add', x, graph.scalar(1))],
  isFinite: (x, part) => ['Not', part('either', 'Or', part('infinite', 'IsInf', x), part('nan', 'IsNaN', x))],
}

const truths = new Set(['isNaN', 'isInfinite', 'isFinite', 'not'])

const unary: OnnxExporter = (step) => {
  const { graph, name, inputs, options } = step
  const [x] = inputs
  const op = options.op as string
  const type = truths.has(op) ? 'bool' : x.type
  const tensor = op === 'not' ? typed(step, graph.use(x), x.type, 'bool') : graph.use(x)
  const [operator, ...of] = Object.hasOwn(formulas, op)
    ? formulas[op](tensor, partsOf(step), step)
    : [unaries[op], tensor]
  if (operator === undefined) throw unknown(step, op)
  return graph.value(name, operator, of, {}, { ...x, type })
}

const binaries: Readonly<Record<string, string>> = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  min: 'Min',
  max: 'Max',
  equal: 'Equal',
  less: 'Less',
  lessEqual: 'LessOrEqual',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
  and: 'And',
  or: 'Or',
  xor: 'Xor',
}
const logical = new Set(['and', 'or', 'xor'])
const comparing = new Set([...['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual'], ...logical])

function unknown({ name, layer }: ExportStep, op: string): UnsupportedError {
  return new UnsupportedError({
    where: `exportOnnx: ${layer.type} "${name}"`,
    what: `there is no operator of ONNX for '${op}' yet`,
    fix: 'add it to the tables in src/io/onnx/export/arithmetic.ts',
  })
}

/** The node for `a op b`. */
function binaryNode(step: ExportStep, op: string, a: string, b: string, result: Omit<Value, 'name'>): Value {
  const { graph, name } = step
  const part = partsOf(step)
  const last = (operator: string, ...inputs: string[]) => graph.value(name, operator, inputs, {}, result)
  switch (op) {
    case 'notEqual':
      return last('Not', part('equal', 'Equal', a, b))
    case 'fmod':
      return graph.value(name, 'Mod', [a, b], { fmod: 1 }, result)
    case 'mod':
      // Mod itself takes whole numbers only.
      return result.type === 'float'
        ? last('Sub', a, part('multiple', 'Mul', part('floor', 'Floor', part('quotient', 'Div', a, b)), b))
        : last('Mod', a, b)
    default:
      if (!Object.hasOwn(binaries, op)) throw unknown(step, op)
      return last(binaries[op], a, b)
  }
}

/**
 * Inputs as one node takes them, and how its result lies. Values that already lie alike stay where they are, however that
 * is; numbers that depend on no input are made to lie as the others.
 */
function broadcast(step: ExportStep): { readonly values: readonly Value[]; readonly layout: Layout } {
  const { graph, name, inputs, output } = step
  const moving = inputs.filter(({ constant }) => constant === undefined)
  const [{ layout }] = moving
  const like = ({ layout: other }: Value) => sameLayout(other, layout)
  if (inputs.every((value) => sameShape(sampleShape(value.layout), output)) && moving.every(like)) {
    return { values: inputs.map((value) => ({ ...value, layout })), layout }
  }
  const values = alike(graph, name, inputs, output.length)
  return { values, layout: ordered(output, orderOf(values[0].layout) ?? []) }
}

const binary: OnnxExporter = (step) => {
  const { graph, options } = step
  const op = options.op as string
  const { values, layout } = broadcast(step)
  const type = logical.has(op) ? 'bool' : values[0].type
  const [a, b] = values.map((value) => typed(step, graph.use(value), value.type, type))
  return binaryNode(step, op, a, b, { type: comparing.has(op) ? 'bool' : type, layout })
}

const where: OnnxExporter = (step) => {
  const { graph, name } = step
  const { values, layout } = broadcast(step)
  const [condition, a, b] = values
  const inputs = [typed(step, graph.use(condition), condition.type, 'bool'), graph.use(a), graph.use(b)]
  return graph.value(name, 'Where', inputs, {}, { type: a.type, layout })
}

const scalar: OnnxExporter = (step) => {
  const { graph, inputs, options } = step
  const [x] = inputs
  const op = options.op as string
  const type = logical.has(op) ? 'bool' : x.type
  const tensor = typed(step, graph.use(x), x.type, type)
  const number = graph.scalar(type === 'bool' ? Number(options.value !== 0) : (options.value as number), type)
  const [a, b] = options.reverse === true ? [number, tensor] : [tensor, number]
  return binaryNode(step, op, a, b, { type: comparing.has(op) ? 'bool' : x.type, layout: x.layout })
}

const clamp: OnnxExporter = ({ graph, name, inputs, options }) => {
  const [x] = inputs
  const limit = (which: 'min' | 'max') =>
    options[which] === undefined ? '' : graph.scalar(options[which] as number, x.type)
  const [min, max] = [limit('min'), limit('max')]
  const limits = max === '' ? (min === '' ? [] : [min]) : [min, max]
  return graph.value(name, 'Clip', [graph.use(x), ...limits], {}, x)
}

/** Samples of one axis are a row or a column. */
const matmul: OnnxExporter = (step) => {
  const { graph, name, inputs, output } = step
  const shapes = inputs.map((value) => sampleShape(value.layout))
  const [row, column] = shapes.map((shape) => shape.length === 1)
  const rank = Math.max(2, ...shapes.map((shape) => shape.length))
  const matrix = (value: Value, shape: Shape) => {
    const ones = new Array<number>(rank - shape.length).fill(1)
    return graph.use(graph.view(graph.natural(value, name), natural([...ones, ...shape]), `${name}/matrix`))
  }
  const a = matrix(inputs[0], row ? [1, ...shapes[0]] : shapes[0])
  const b = matrix(inputs[1], column ? [...shapes[1], 1] : shapes[1])
  if (!row && !column) return graph.value(name, 'MatMul', [a, b], {}, { type: 'float', layout: natural(output) })
  const product = graph.node(`${name}/product`, 'MatMul', [a, b])
  const shape = graph.integers(`${name}/shape`, [0, ...output])
  return graph.value(name, 'Reshape', [product, shape], {}, { type: 'float', layout: natural(output) })
}

const cast: OnnxExporter = ({ graph, name, inputs, options }) => {
  const [x] = inputs
  const type = types[options.dtype as string]
  if (type === x.type) return x
  return graph.value(name, 'Cast', [graph.use(x)], { to: tensorTypes[type] }, { ...x, type })
}

/** Becomes a tensor where it is used, in the order that is wanted there. */
const value: OnnxExporter = ({ options, output, parameter }) => ({
  name: '',
  type: options.dtype === 'i32' ? 'int32' : 'float',
  layout: natural(output),
  constant: parameter('value'),
})

export const arithmetic = {
  unary,
  binary,
  scalar,
  clamp,
  where,
  matmul,
  cast,
  value,
} as const satisfies Readonly<Record<string, OnnxExporter>>
