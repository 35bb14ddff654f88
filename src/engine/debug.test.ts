import { expect, it } from 'vitest'
import { wasmTarget } from '../backends/wasm/target.ts'
import { constantNode, dataNode } from '../graph/node.ts'
import { sum } from '../ops/broadcast.ts'
import { mul } from '../ops/elementwise.ts'
import { schedule } from '../schedule/index.ts'
import { describePlan } from './debug.ts'

it('a plan reads as one line a kernel call', () => {
  const x = dataNode(new Float32Array(6), [2, 3], 'f32')
  const plan = schedule([sum(mul(x, constantNode(2)), 1)], [], wasmTarget({ relaxed: false }))
  expect(describePlan(plan, () => 'kernel')).toMatch(
    /^plan: 1 kernel calls, arena [\d.]+ KiB\n0 {2}mul·sum {2}kernel {2}1 task {2}work 6\.00$/m,
  )
})
