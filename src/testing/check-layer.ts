/** Puts a layer through what every layer must do; for this package's layers and for users' own. */
import type { TypedArray } from '../base/dtype.ts'
import { type Shape, sameShape, showShape, sizeOf } from '../base/shape.ts'
import { layerFromJson } from '../nn/from-json.ts'
import { type Layer, layerToJson } from '../nn/layer.ts'
import { describe, init } from '../nn/model.ts'
import { sgd } from '../optim/index.ts'
import { compile, type Tensor, tensor, valueAndGrad } from '../tensor/index.ts'
import { checkGradients } from './check-gradients.ts'

export interface LayerCheck {
  /** One sample, without the batch. */
  readonly input: Shape
  readonly output: Shape
  readonly parameters: number
  /** i32 samples below this number instead of real ones: for embeddings. */
  readonly integers?: number
  /** False where the gradient is not that of what is computed: of rounding that training sees through. */
  readonly gradient?: false
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`checkLayer: ${what}`)
}

/**
 * Checks shapes, parameter count, gradients, the written description, saving and loading, that a step of training lowers
 * a loss and moves every parameter, and that inference gives the same twice.
 * @throws Error saying what does not hold
 */
export async function checkLayer(layer: Layer, check: LayerCheck): Promise<void> {
  const batch = 3
  const size = batch * sizeOf(check.input)
  const samples: TypedArray =
    check.integers === undefined
      ? Float32Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1)) * 1.7)
      : Int32Array.from({ length: size }, (_, i) => (i * 7) % (check.integers as number))
  const x = tensor(samples, [batch, ...check.input])
  const summary = describe(layer, check.input)
  expect(
    sameShape(summary.output, check.output),
    `the description gives ${showShape(summary.output)}, expected ${showShape(check.output)}`,
  )
  const model = init(layer, { input: check.input, seed: 3 })
  expect(model.parameterCount === check.parameters, `${model.parameterCount} parameters, expected ${check.parameters}`)
  const counted = summary.reports.reduce((sum, report) => sum + report.parameters, 0)
  expect(counted === check.parameters, `the description counts ${counted} parameters, expected ${check.parameters}`)

  // A quadratic loss pulls the output to a fixed target, so one small step must lower it.
  const target = tensor(
    Float32Array.from({ length: batch * sizeOf(check.output) }, (_, i) => Math.cos(i)),
    [batch, ...check.output],
  )
  const loss = (input: Tensor, wanted: Tensor) => model(input).sub(wanted).square().mean()
  if (check.parameters > 0) {
    const before = await Promise.all(model.parameters.map((parameter) => parameter.data()))
    const optimizer = sgd(1e-2)
    const step = compile((input: Tensor, wanted: Tensor) => {
      const [value, gradients] = valueAndGrad(model.parameters, () => loss(input, wanted))
      optimizer.update(model.parameters, gradients)
      return value
    })
    const measure = compile(loss)
    const first = await (await measure(x, target)).item()
    await step(x, target)
    const second = await (await measure(x, target)).item()
    expect(second < first, `a step of training changed the loss from ${first} to ${second}`)
    for (const [i, parameter] of model.parameters.entries()) {
      const now = await parameter.data()
      expect(
        now.some((value, j) => value !== before[i][j]),
        `a step of training left "${parameter.name}" as it was`,
      )
      expect(now.every(Number.isFinite), `"${parameter.name}" is not finite after a step of training`)
    }
  }

  // Every parameter and the input, against central differences; assigned values stand in for the parameters' own.
  const values = [x, ...(await Promise.all(model.parameters.map(async (p) => tensor(await p.data(), p.shape))))]
  for (const training of check.gradient === false ? [] : [true, false]) {
    model.train(training)
    await checkGradients(
      (input, ...parameters) => {
        for (const [i, parameter] of model.parameters.entries()) parameter.assign(parameters[i])
        return model(input)
      },
      values,
      { tolerance: 1e-5 },
    )
  }

  model.eval()
  const forward = compile((input: Tensor) => model(input))
  const output = await forward(x)
  expect(
    sameShape(output.shape, [batch, ...check.output]),
    `gives ${showShape(output.shape)}, expected ${showShape([batch, ...check.output])}`,
  )
  const outputs = await output.data()
  expect(outputs.every(Number.isFinite), 'gives values that are not finite')
  const same = async (other: Promise<Tensor>, what: string) => {
    const others = await (await other).data()
    expect(
      others.every((value, i) => Object.is(value, outputs[i])),
      what,
    )
  }
  await same(forward(x), 'gives something else the second time, in inference mode')

  const copy = init(layerFromJson(JSON.parse(JSON.stringify(layerToJson(layer)))), { input: check.input, seed: 4 })
  await copy.load(await model.save())
  copy.eval()
  await same(
    compile((input: Tensor) => copy(input))(x),
    'gives something else after its description and weights went through a file',
  )
}
