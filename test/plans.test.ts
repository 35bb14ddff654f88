/** What a training step is made of: passes over memory by name, so that one more is seen, and how well memory is used. */
import { describe, expect, it } from 'vitest'
import { gradient } from '../src/autodiff/gradient.ts'
import { wasmTarget } from '../src/backends/wasm/target.ts'
import { sizeOf } from '../src/base/shape.ts'
import { inputNode, type Node } from '../src/graph/node.ts'
import { init, models, optim, valueAndGrad } from '../src/index.ts'
import * as ops from '../src/ops/index.ts'
import { type Plan, schedule } from '../src/schedule/index.ts'
import { crossEntropy } from '../src/tensor/index.ts'
import { Tensor } from '../src/tensor/tensor.ts'
import { Trace, withTrace } from '../src/tensor/trace.ts'

const target = wasmTarget({ relaxed: false })
/** Labels without the algorithm, and one where several calls belong to one op. */
function passes(plan: Plan): string[] {
  const names = plan.calls.map((call) => call.label.replace(/ \(.*\)$/, ''))
  return names.filter((name, i) => name !== names[i - 1])
}

let count = 0
const input = (...shape: number[]) => inputNode(count++, shape, 'f32')

/** A basic residual block: conv, norm, relu, conv, norm, the way around, relu. */
function block(x: Node) {
  const channels = x.shape[3]
  const half = (from: Node) => {
    const [weight, scale, shift] = [input(3, 3, channels, channels), input(channels), input(channels)]
    return { parameters: [weight, scale, shift], y: norm(ops.conv2d(from, weight, { padding: 1 }), scale, shift) }
  }
  const norm = (from: Node, scale: Node, shift: Node) => ops.batchNorm(from, scale, shift).y
  const first = half(x)
  const second = half(ops.relu(first.y))
  return { parameters: [...first.parameters, ...second.parameters], y: ops.relu(ops.add(second.y, x)) }
}

describe('a residual block', () => {
  const x = input(32, 16, 16, 64)
  const { parameters, y } = block(x)

  it('takes two passes over memory for a norm, an activation and a sum forward', () => {
    expect(passes(schedule([y], [], target))).toMatchInlineSnapshot(`
      [
        "conv",
        "sum·mul·deviations·mul·add·rsqrt·mul",
        "centerScale·relu",
        "conv",
        "sum·mul·deviations·mul·add·rsqrt·mul",
        "centerScale·add·relu",
      ]
    `)
  })

  it('takes two for a norm backward; masks and sums of gradients are in the convolutions', () => {
    const upstream = input(...y.shape)
    const plan = schedule([y, ...(gradient(y, [x, ...parameters], upstream) as Node[])], [], target)
    const forward = passes(schedule([y], [], target))
    expect(passes(plan).slice(forward.length)).toMatchInlineSnapshot(`
      [
        "sum·centerTimes·sum·mul·mul·mul·neg·mul·mul·neg·mul",
        "mul·centerScale·add",
        "convWeightGradient",
        "convInputGradient·reluMask",
        "sum·centerTimes·sum·mul·mul·mul·neg·mul·mul·neg·mul",
        "mul·centerScale·add",
        "convInputGradient·add",
        "convWeightGradient",
      ]
    `)
  })
})

describe('a loss', () => {
  it('of classes takes two passes over the logits, its gradient one more', () => {
    const logits = input(64, 1000)
    const loss = ops.crossEntropy(logits, inputNode(count++, [64], 'i32'))
    const plan = schedule([loss, gradient(loss, [logits])[0] as Node], [], target)
    expect(
      passes({ ...plan, calls: plan.calls.filter((call) => call.work >= sizeOf(logits.shape)) }),
    ).toMatchInlineSnapshot(`
      [
        "max·isFinite·select",
        "expDifference·sum·smoothTargetTimes·log·sum·sub·reciprocal",
        "scaledExpDifference·smoothTarget·sub·mul",
      ]
    `)
  })
})

function trainingStep(make: models.Architecture, shape: readonly number[], batch: number): Plan {
  const model = init(make({ classes: 10, input: shape }), { input: shape, seed: 1 })
  const rule = optim.sgd(0.1, { momentum: 0.9 })
  model.train()
  const trace = new Trace()
  const [x, y] = [inputNode(0, [batch, ...shape], 'f32'), inputNode(1, [batch], 'i32')].map((node) => new Tensor(node))
  const loss = withTrace(trace, () => {
    const [value, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    rule.update(model.parameters, gradients)
    return value
  })
  return schedule(
    [loss.node],
    withTrace(trace, () => trace.finish()),
    target,
  )
}

describe('the memory of a training step', () => {
  it.each([
    ['resnet18', models.resnet18, [32, 32, 3]],
    ['resnet20', models.resnet20, [32, 32, 3]],
    ['mobileNetV2', models.mobileNetV2, [96, 96, 3]],
    ['simpleCnn', models.simpleCnn, [28, 28, 1]],
  ] as const)('of %s is within 5 percent of what lives at one time', (_name, make, shape) => {
    const { arenaBytes, liveBytes } = trainingStep(make, shape, 32)
    expect(arenaBytes / liveBytes).toBeGreaterThanOrEqual(1)
    expect(arenaBytes / liveBytes).toBeLessThan(1.05)
  })
})

describe('the order of a training step', () => {
  it('moves a weight as soon as its gradient is there, which then needs no memory', () => {
    const order = trainingStep(models.resnet18, [32, 32, 3], 32).calls.map((call) => call.label)
    const update = 'mul·add·mul·sub'
    expect(order.filter((label) => label === update).length).toBeGreaterThanOrEqual(20)
    const lastGradient = order.findLastIndex((label) => label.startsWith('convWeightGradient'))
    expect(order.slice(lastGradient).filter((label) => label === update)).toHaveLength(1)
  })
})
