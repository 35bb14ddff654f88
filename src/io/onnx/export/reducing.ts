/** One value from many along axes of a sample. */
import { sampleAxis } from './arranging.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { OnnxGraph, Value } from './graph.ts'
import { ordered, sampleShape } from './layout.ts'

/**
 * Reduces axes of a tensor. Up to opset 17 most operators have the axes as an attribute, from 18 on as an input.
 * @param axes of the ONNX tensor, the batch counted
 */
export function reduceNode(
  graph: OnnxGraph,
  name: string,
  type: string,
  x: string,
  axes: readonly number[],
  keepDims: boolean,
): string {
  const keepdims = keepDims ? 1 : 0
  const asInput = graph.opset >= 18 || type === 'ReduceSum'
  return asInput
    ? graph.node(name, type, [x, graph.integers(`${name}/axes`, axes)], { keepdims })
    : graph.node(name, type, [x], { axes, keepdims })
}

/** What is left of the sample's axes, in the order in which ONNX has them. */
function leftOf(order: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  if (keepDims) return [...order]
  const left = order.filter((axis) => !axes.includes(axis))
  const rank = left.toSorted((a, b) => a - b)
  return left.map((axis) => rank.indexOf(axis))
}

/** The first input reduced along axes of the sample. */
export function reduced(step: ExportStep, type: string, axes: readonly number[], keepDims: boolean): Value {
  const { graph, name, output } = step
  const { value, order } = graph.plain(step.inputs[0], name)
  const at = axes.map((axis) => order.indexOf(axis) + 1).toSorted((a, b) => a - b)
  if (at.length === 0) return value
  const result = reduceNode(graph, name, type, graph.use(value), at, keepDims)
  return { type: value.type, name: result, layout: ordered(output, leftOf(order, axes, keepDims)) }
}

const reductions: Readonly<Record<string, string>> = {
  sum: 'ReduceSum',
  mean: 'ReduceMean',
  max: 'ReduceMax',
  min: 'ReduceMin',
  prod: 'ReduceProd',
  l1: 'ReduceL1',
  l2: 'ReduceL2',
  sumSquare: 'ReduceSumSquare',
  logSum: 'ReduceLogSum',
  logSumExp: 'ReduceLogSumExp',
}

function place(type: 'ArgMax' | 'ArgMin'): OnnxExporter {
  return ({ graph, name, inputs, options, output }) => {
    const { value, order } = graph.plain(inputs[0], name)
    const axis = sampleAxis(options.axis as number, sampleShape(value.layout))
    const keepDims = options.keepDims === true
    const attributes = { axis: order.indexOf(axis) + 1, keepdims: keepDims ? 1 : 0 }
    const found = graph.node(name, type, [graph.use(value)], attributes)
    const layout = ordered(output, leftOf(order, [axis], keepDims))
    return graph.value(`${name}/int32`, 'Cast', [found], { to: 6 }, { type: 'int32', layout })
  }
}

export const reducings = {
  reduce(step) {
    const { op, axes, keepDims } = step.options as { op: string; axes: readonly number[]; keepDims?: boolean }
    const shape = sampleShape(step.inputs[0].layout)
    const at = axes.map((axis) => sampleAxis(axis, shape))
    return reduced(step, reductions[op], at, keepDims === true)
  },
  argmax: place('ArgMax'),
  argmin: place('ArgMin'),
} as const satisfies Readonly<Record<string, OnnxExporter>>
