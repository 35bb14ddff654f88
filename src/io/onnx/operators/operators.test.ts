import { describe, expect, it } from 'vitest'
import { judge, type OnnxCase } from '../../../../test/onnx-judge.ts'
import { onnxOperators } from '../index.ts'
import { operatorCases } from './operators.cases.ts'
import { partCases } from './parts.cases.ts'
import { signalCases } from './signal.cases.ts'

const cases = [...operatorCases, ...partCases, ...signalCases]

describe('every operator', () => {
  it('has three cases', () => {
    const has = ({ nodes }: OnnxCase, op: string) =>
      nodes.some((node) => node.op === op || (op === 'Constant' && node.inputs.some((one) => Object(one).asNode)))
    const count = (op: string) => cases.filter((one) => has(one, op)).length
    expect([...onnxOperators().keys()].filter((op) => count(op) < 3)).toEqual([])
  })

  it.each(cases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    expect(await judge(one)).toBe('')
  })
})
