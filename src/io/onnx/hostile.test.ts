import { describe, expect, it } from 'vitest'
import { encodeCase, type OnnxCase } from '../../../test/onnx-judge.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { importOnnx } from './import.ts'
import { operatorCases } from './operators/operators.cases.ts'

/** A few cases of each kind: files of a hundred bytes to a few thousand. */
const names = ['Conv', 'Gemm', 'MatMul', 'BatchNormalization', 'MaxPool', 'Reshape', 'Concat', 'Gather', 'Softmax']
const chosen: readonly OnnxCase[] = [
  ...names.flatMap((op) => operatorCases.filter(({ nodes }) => nodes[0].op === op).slice(0, 2)),
  ...operatorCases.filter(({ nodes }) => nodes.length > 3),
]

describe('hostile ONNX files', () => {
  it(
    'never do harm',
    async () => {
      const files = chosen.map(encodeCase)
      const { read } = await expectHostileSafe((bytes) => importOnnx(bytes), files, { count: 3000, path: 'ONNX model' })
      expect(read).toBeGreaterThan(100)
    },
    hostileTimeoutMs,
  )
})
