/** What Node and the page run alike: steps of `simpleCnn` on generated digits. In the page `juanji` is the package. */
import {
  compile,
  createDevice,
  crossEntropy,
  datasets,
  init,
  models,
  optim,
  useDevice,
  valueAndGrad,
} from '../../src/index.ts'

export interface TrainingOptions {
  readonly steps: number
  readonly batchSize: number
  readonly threads: number
}

/** The losses of the steps, without relaxed SIMD: the same bits wherever it runs. */
export async function train({ steps, batchSize, threads }: TrainingOptions): Promise<{
  readonly losses: readonly number[]
  readonly threads: number
}> {
  const device = await createDevice({ threads, relaxedSimd: false })
  await useDevice(device)
  const data = await datasets.digits({ trainCount: steps * batchSize, testCount: 1 })
  const model = init(models.simpleCnn(), { input: [28, 28, 1], seed: 1 })
  const adam = optim.adam(1e-3)
  const step = compile((x, y) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    adam.update(model.parameters, gradients)
    return loss
  })
  const losses: number[] = []
  for await (const { x, y } of data.train.batches({ size: batchSize, seed: 1 })) {
    losses.push(await (await step(x, y)).item())
  }
  return { losses, threads: device.backend.threads }
}
