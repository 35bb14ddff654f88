import { describe, expect, it } from 'vitest'
import {
  compile,
  crossEntropy,
  type ExplainedCall,
  type Explanation,
  init,
  nn,
  optim,
  type Tensor,
  tensor,
  valueAndGrad,
} from '../index.ts'
import { printExplanation } from './explanation.ts'

const direct = { op: 'conv', algorithm: 'direct', candidates: [{ name: 'direct', cost: 1 }] }
const conv: ExplainedCall = {
  ops: 'conv·add·relu',
  origin: 'layer1.0.conv1',
  kernel: 'conv_f32_4x8_padded_add_relu_wasm',
  choice: direct,
  flops: 2.4e9,
  bytes: 16.9e6,
  workspaceBytes: 252_160,
  ms: 20,
  gflops: 120,
  gigabytesPerSecond: 0.845,
  share: 0.95,
  boundBy: 'compute',
  why: 'the only one that applies',
}
const pack: ExplainedCall = {
  ...conv,
  kernel: 'pack8_wasm',
  flops: 0,
  bytes: 294_912,
  workspaceBytes: 147_456,
  ms: 0.03,
  gflops: 0,
  gigabytesPerSecond: 9.83,
  share: 0.25,
  boundBy: 'neither',
}
const { choice: _choice, origin: _origin, ...rest } = pack
const map: ExplainedCall = {
  ...rest,
  ops: 'greaterEqual·less·logicalAnd·select·sub·mul·add',
  kernel: 'map1d_greaterEqual_wasm',
  flops: undefined,
  bytes: 20e6,
  workspaceBytes: 0,
  ms: 0.5,
  gflops: undefined,
  gigabytesPerSecond: 40,
  share: 1.02,
  boundBy: 'memory',
}
const explanation: Explanation = {
  backend: 'wasm',
  threads: 2,
  peak: { gflops: 126, gigabytesPerSecond: 39.2 },
  calls: [pack, conv, map],
  kept: [],
  total: { ms: 20.53, wholeMs: 20.1, flops: 2.4e9, bytes: 37_194_912 },
  memory: {
    arenaBytes: 30e6,
    variableBytes: 147_456,
    bufferBytes: 8.4e6,
    keptBytes: 0,
    scratchBytes: 104_704,
    bytes: 38_652_160,
  },
}

const text = (columns: number) => printExplanation(explanation, { columns }).join('\n')

describe('printExplanation', () => {
  it('shows a row for every call, totals, the longest calls and the choices', () => {
    expect(text(100)).toBe(`\
computes                          kernel        FLOP  bytes  space     ms  GF/s  GB/s  peak  bound
layer1.0.conv1 conv·add·relu      direct pack          295k   147k  0.030         9.8   25%  -
layer1.0.conv1 conv·add·relu      direct conv  2.40G  16.9M   252k   20.0   120   0.8   95%  compute
greaterEqual·less·logicalAnd·se…  map              ?  20.0M         0.500          40  102%  memory

3 kernel calls: 20.5 ms one by one, 20.1 ms in one piece
2.40G FLOP at 119 GFLOP/s, 95% of the peak; 37.2MB read and written
peak measured here (wasm, 2 threads): 126 GFLOP/s, 39 GB/s copied
bound by: compute 20.0 ms (97%), memory 0.500 ms (2%), neither 0.030 ms (0%)
memory at its peak: 38.7MB = 30.0MB activations, gradients and workspace
  + 147kB Variables + 8.40MB arguments and results + 105kB scratch

longest:
   20.0 ms  97%  layer1.0.conv1 conv·add·relu (direct conv, bound by compute)
  0.500 ms   2%  greaterEqual·less·logicalAnd·select·sub·mul·add (map, bound by memory)
  0.030 ms   0%  layer1.0.conv1 conv·add·relu (direct pack)

algorithms:
  conv: direct, the only one that applies`)
  })

  it('tells why in every row where there is room', () => {
    expect(text(160).split('\n').slice(0, 4)).toEqual([
      'computes                                         kernel        FLOP  bytes  space     ms  GF/s  GB/s  peak  bound    why',
      'layer1.0.conv1 conv·add·relu                     direct pack          295k   147k  0.030         9.8   25%  -        the only one that applies',
      'layer1.0.conv1 conv·add·relu                     direct conv  2.40G  16.9M   252k   20.0   120   0.8   95%  compute  the only one that applies',
      'greaterEqual·less·logicalAnd·select·sub·mul·add  map              ?  20.0M         0.500          40  102%  memory',
    ])
  })

  it.each([60, 80, 100, 120])('fits %i columns', (columns) => {
    const table = text(columns).split('\n').slice(0, 4)
    for (const line of table) expect(line.length).toBeLessThanOrEqual(columns)
  })

  it('says so when nothing is computed', () => {
    expect(printExplanation({ ...explanation, calls: [] })).toEqual([
      'Nothing is computed: what comes out is what goes in, or constants.',
    ])
  })
})

describe('explain', () => {
  const net = nn.sequential(['conv', nn.conv2d(4, 3)], nn.relu(), nn.flatten(), ['head', nn.linear(2)])
  const model = init(net, { input: [6, 6, 1], seed: 1 })
  const x = tensor(
    Float32Array.from({ length: 72 }, (_, i) => Math.sin(i)),
    [2, 6, 6, 1],
  )
  const y = tensor(Int32Array.of(0, 1))
  const optimizer = optim.sgd(0.1)
  const step = compile((images: Tensor, labels: Tensor) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(images), labels))
    optimizer.update(model.parameters, gradients)
    return loss
  })

  it('adds up, names layers, and says what was chosen', async () => {
    const { calls, total, memory } = await step.explain(x, y)
    const sum = (of: (call: ExplainedCall) => number) => calls.reduce((all, call) => all + of(call), 0)
    expect(total.ms).toBeCloseTo(sum(({ ms }) => ms))
    expect(total.flops).toBe(sum(({ flops }) => flops ?? 0))
    expect(total.bytes).toBe(sum(({ bytes }) => bytes))
    expect(memory.bytes).toBe(
      memory.arenaBytes + memory.variableBytes + memory.bufferBytes + memory.keptBytes + memory.scratchBytes,
    )
    // 4 · 9 + 4 and 64 · 2 + 2 parameters; two pictures, two labels, the loss, the learning rate.
    expect(memory.variableBytes).toBe(4 * (40 + 130))
    expect(memory.bufferBytes).toBe(4 * (72 + 2 + 1 + 1))
    const origins = new Set(calls.map(({ origin }) => origin))
    expect(origins).toContain('conv')
    expect(origins).toContain('head')
    const forward = calls.find(({ choice, kernel }) => choice?.op === 'conv' && kernel.startsWith('conv'))
    // Two pictures of 4 × 4 × 4 values of 9 products, with what the last vectors throw away.
    expect(forward?.flops).toBeGreaterThanOrEqual(2 * 2 * 64 * 9)
    expect(forward?.choice?.algorithm).toBe('direct')
    const gradients = calls.filter(({ choice }) => choice?.op === 'convWeightGradient')
    expect(gradients.length).toBeGreaterThan(0)
    expect(gradients.every(({ origin }) => origin === 'conv')).toBe(true)
  })

  it('leaves Variables as they are', async () => {
    const before = await model.save()
    await step.explain(x, y)
    expect(await model.save()).toEqual(before)
  })

  it('asks for tensors', async () => {
    const wrong = step.explain(1 as unknown as Tensor, y)
    await expect(wrong).rejects.toThrow(`compile: argument 0 is no tensor.
  got       number
  expected  tensors only: other values become part of the program
  fix       wrap it in tensor(), or let the function capture it`)
  })
})
