import { describe, expect, it } from 'vitest'
import { encodeCase } from '../../../test/onnx-judge.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { importOnnx } from './import.ts'
import { operatorCases } from './operators/operators.cases.ts'
import { partCases } from './operators/parts.cases.ts'
import { signalCases } from './operators/signal.cases.ts'

const files = [...operatorCases, ...partCases, ...signalCases].map(encodeCase)

describe('hostile ONNX files', () => {
  it(
    'never do harm, whatever operator they hold',
    async () => {
      const { read } = await expectHostileSafe((bytes) => importOnnx(bytes), files, { count: 4000, path: 'ONNX model' })
      expect(read).toBeGreaterThan(200)
    },
    hostileTimeoutMs,
  )
})
