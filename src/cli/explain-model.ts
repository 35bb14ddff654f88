/** `juanji explain MODEL`: what every kernel call of a network costs, for inference or a whole training step. */

import type { Precision } from '../base/dtype.ts'
import { ShapeError } from '../base/errors.ts'
import { Random } from '../base/random.ts'
import { sizeOf } from '../base/shape.ts'
import {
  compile,
  crossEntropy,
  type Explanation,
  init,
  type Model,
  optim,
  printExplanation,
  type Tensor,
  tensor,
  valueAndGrad,
} from '../index.ts'
import { chooseDevice, type DeviceChoice, type Task } from './command.ts'
import type { ModelFileChoice } from './model-files.ts'
import { architectureNames } from './names.ts'
import { openNetwork } from './open-network.ts'
import { showExtents } from './summary-table.ts'
import { readPrecision } from './train-plan.ts'

export interface ExplainModelOptions extends DeviceChoice, ModelFileChoice {
  readonly batchSize: number
  readonly training?: boolean
  readonly precision?: string
}

/** @throws ConfigError when there is no such network, ShapeError when it gives no logits to train */
export async function explainModel(task: Task, name: string, options: ExplainModelOptions): Promise<void> {
  const { terminal } = task
  const known = ['conv', ...architectureNames]
  const { net, input, loaded } = await openNetwork(name, options, { called: 'explanation', known })
  const { batchSize, training = false } = options
  const precision = readPrecision(options.precision) ?? 'f32'
  const model = loaded?.model ?? init(net, { input, seed: 1 })
  if (training) checkLogits(model)
  const device = await chooseDevice(options)
  task.begin()
  const explanation = await (training ? explainTraining : explainInference)(model, batchSize, precision)
  const how = precision === 'f32' ? '' : ` in ${precision}`
  const what = `${training ? 'a training step: forward, backward, Adam' : 'inference'}${how}`
  terminal.line(`${terminal.bold(loaded?.architecture ?? name)}, ${batchSize} × ${showExtents(input)}: ${what}`)
  terminal.line()
  terminal.lines(printExplanation(explanation, { columns: terminal.interactive ? terminal.columns : 100 }))
  const { calls, ...rest } = explanation
  for (const call of calls) terminal.event({ event: 'call', ...call })
  terminal.event({
    event: 'done',
    model: name,
    input,
    batchSize,
    training,
    precision,
    ...rest,
    backend: device.target.name,
  })
}

function checkLogits({ outputShape }: Model): void {
  if (outputShape.length === 1) return
  throw new ShapeError({
    where: 'explain --training',
    what: 'the network gives no logits, which the loss of a training step is computed from',
    got: `an output of ${showExtents(outputShape)}`,
    expected: 'one number a class',
    fix: 'leave --training out',
  })
}

function explainInference(model: Model, batchSize: number, precision: Precision): Promise<Explanation> {
  model.eval()
  return compile((x: Tensor) => model(x), { precision }).explain(samples(model, batchSize))
}

function explainTraining(model: Model, batchSize: number, precision: Precision): Promise<Explanation> {
  model.train()
  const adam = optim.adam()
  const step = compile(
    (x: Tensor, labels: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), labels))
      adam.update(model.parameters, gradients)
      return loss
    },
    { precision },
  )
  const random = new Random(1, 'labels')
  const classes = model.outputShape[0]
  const labels = Int32Array.from({ length: batchSize }, () => random.integer(classes))
  return step.explain(samples(model, batchSize), tensor(labels))
}

function samples({ inputShape }: Model, batchSize: number): Tensor {
  const random = new Random(1, 'x')
  const shape = [batchSize, ...inputShape]
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => random.normal()),
    shape,
  )
}
