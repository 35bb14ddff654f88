/**
 * A training loop by hand: what `fit` does, with every part of it in sight. Validation after each epoch, a learning
 * rate that rises and sinks, the best weights kept, the model saved.
 *
 *     npx tsx examples/training-loop.ts [pictures] [epochs] [folder]
 */
import {
  compile,
  crossEntropy,
  type Dataset,
  datasets,
  init,
  nn,
  optim,
  saveModel,
  split,
  type Tensor,
  valueAndGrad,
} from 'juanji'

const [pictures = '12000', epochs = '4', folder = 'runs/by-hand'] = process.argv.slice(2)
const batchSize = 64
const seed = 1
const peakRate = 3e-3

const data = await datasets.digits({ trainCount: Number(pictures), testCount: Number(pictures) / 5 })
const [train, held] = await split(data.train, 0.1, seed)

const model = init(
  nn.sequential(
    nn.conv2d(16, 3, { padding: 1, bias: false }),
    nn.batchNorm(),
    nn.relu(),
    nn.maxPool2d(2),
    nn.conv2d(32, 3, { padding: 1, bias: false }),
    nn.batchNorm(),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.dropout(0.2),
    nn.linear(10),
  ),
  { input: train.sampleShape, seed },
)
const optimizer = optim.adamw(peakRate, { weightDecay: 0.01 })

/** How many of a batch the model is right about. */
const correct = (logits: Tensor, labels: Tensor) => logits.argmax().equal(labels).cast('f32').sum()

// The first call traces the function and compiles it; from then on a step is one call into WebAssembly.
const step = compile((x: Tensor, y: Tensor) => {
  let right: Tensor | undefined
  const [loss, gradients] = valueAndGrad(model.parameters, () => {
    const logits = model(x)
    right = correct(logits, y)
    return crossEntropy(logits, y, { labelSmoothing: 0.05 })
  })
  optimizer.update(model.parameters, gradients)
  return [loss, right] as const
})
const measure = compile((x: Tensor, y: Tensor) => {
  const logits = model(x)
  return [crossEntropy(logits, y), correct(logits, y)] as const
})

/** Mean loss and share of right answers. */
async function evaluate(dataset: Dataset): Promise<{ loss: number; accuracy: number }> {
  // Batch norms use what they have learned of the data, and dropout drops nothing.
  model.eval()
  let loss = 0
  let right = 0
  for await (const { x, y } of dataset.batches({ size: 256 })) {
    const [batchLoss, batchRight] = await measure(x, y)
    loss += (await batchLoss.item()) * y.size
    right += await batchRight.item()
  }
  model.train()
  return { loss: loss / dataset.length, accuracy: right / dataset.length }
}

/** The learning rate when a share of the training is done: up in a straight line, then down along a cosine. */
function rateAt(progress: number): number {
  const warmUp = 0.2
  if (progress < warmUp) return (peakRate * progress) / warmUp
  return (peakRate * (1 + Math.cos((Math.PI * (progress - warmUp)) / (1 - warmUp)))) / 2
}

const steps = Number(epochs) * Math.ceil(train.length / batchSize)
let done = 0
let best = { epoch: 0, accuracy: -1, weights: await model.save() }
for (let epoch = 1; epoch <= Number(epochs); epoch++) {
  let loss = 0
  for await (const { x, y } of train.batches({ size: batchSize, seed, epoch })) {
    optimizer.learningRate = rateAt(++done / steps)
    const [batchLoss] = await step(x, y)
    loss += (await batchLoss.item()) * y.size
  }
  const measured = await evaluate(held)
  const isBest = measured.accuracy > best.accuracy
  if (isBest) best = { epoch, accuracy: measured.accuracy, weights: await model.save() }
  console.log(
    `epoch ${epoch}  loss ${(loss / train.length).toFixed(4)}  held-out loss ${measured.loss.toFixed(4)}, ` +
      `accuracy ${(100 * measured.accuracy).toFixed(2)} %${isBest ? '  best so far' : ''}`,
  )
}

await model.load(best.weights)
const { accuracy } = await evaluate(data.test)
console.log(`epoch ${best.epoch} was the best; test accuracy ${(100 * accuracy).toFixed(2)} %`)
model.eval()
await saveModel(folder, { model, classes: train.classes, metrics: { testAccuracy: accuracy } }, { force: true })
console.log(`the model is in ${folder}`)
