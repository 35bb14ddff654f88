/** A training in progress: epochs, checkpoints, the best weights. `fit` makes one and runs it. */
import { ConfigError, JuanjiError } from '../base/errors.ts'
import type { Batch, Dataset } from '../data/dataset.ts'
import type { Model } from '../nn/model.ts'
import { describeDevice, type State } from '../tensor/index.ts'
import { Averages } from './average.ts'
import { Checkpoints } from './checkpoints.ts'
import { evaluate } from './evaluate.ts'
import type { CheckpointReason, EndEvent, EpochEvent } from './events.ts'
import { checkIdentity, type Identity } from './identity.ts'
import { rateFactor } from './lr-schedule.ts'
import { checkMemory } from './memory.ts'
import type { Settings } from './options.ts'
import { newProgress, type Progress, progressFromJson, progressToJson } from './progress.ts'
import { type Augment, type StepOutcome, TrainStep } from './step.ts'
import { restore, valuesOf, type Weights } from './values.ts'

export interface TrainingParts {
  readonly settings: Settings & { readonly batchSize: number }
  readonly model: Model
  readonly train: Dataset
  readonly held: Dataset | undefined
  readonly loss: (output: Parameters<Model>[0], target: Parameters<Model>[0]) => ReturnType<Model>
  readonly augment: Augment | undefined
  readonly identity: Identity
}

/** Writing checkpoints takes at most this share of the time. */
const checkpointShare = 0.05
const defaultEverySeconds = 60

export class Training {
  readonly #parts: TrainingParts
  readonly #step: TrainStep
  readonly #averages: Averages | undefined
  readonly #checkpoints: Checkpoints | undefined
  readonly #states: ReadonlyMap<string, State>
  readonly #baseRate: number
  readonly #stepsPerEpoch: number
  #progress: Progress = newProgress()
  /** Weights after the best epoch, unless they are those the model has; and the epoch whose are on disk. */
  #bestWeights: Weights | undefined
  #savedBest: number | undefined
  #lastCheckpoint = 0
  #checkpointSeconds = 0

  constructor(parts: TrainingParts) {
    const { settings, model, train } = parts
    const { optimizer, accumulate, batchSize, clipNorm, average, checkpoints, seed, precision } = settings
    this.#parts = parts
    this.#averages = average === undefined ? undefined : new Averages(model, average)
    const { loss, augment } = parts
    this.#step = new TrainStep({
      model,
      optimizer,
      loss,
      clipNorm,
      augment,
      averages: this.#averages,
      seed,
      precision,
      accumulate,
    })
    this.#checkpoints = checkpoints === undefined ? undefined : new Checkpoints(checkpoints.folder)
    this.#baseRate = optimizer.learningRate
    this.#stepsPerEpoch = Math.ceil(Math.ceil(train.length / batchSize) / accumulate)
    optimizer.prepare(model.parameters)
    this.#states = new Map([
      ...[...model.parameters, ...model.states].map((state) => [`model.${state.name}`, state] as const),
      ...optimizer.states.map((state) => [`optimizer.${state.name}`, state] as const),
      ...(this.#averages?.states ?? []).map((state) => [state.name, state] as const),
      ['random.model', model.random] as const,
      ['random.augment', this.#step.random] as const,
    ])
  }

  async run(): Promise<{ readonly epochs: readonly EpochEvent[]; readonly end: EndEvent }> {
    const { settings, model } = this.#parts
    const { signal, emit } = settings
    await this.#checkMemory()
    await this.#begin()
    await this.#emitStart()
    this.#lastCheckpoint = performance.now()
    model.train()
    try {
      while (!this.#isOver && signal?.aborted !== true) await this.#epoch()
      if (signal?.aborted === true) await this.#writeCheckpoint('stop')
    } finally {
      settings.optimizer.learningRate = this.#baseRate
      model.eval()
    }
    const aborted = signal?.aborted ?? false
    const progress = this.#progress
    if (!aborted && this.#bestWeights !== undefined) await model.load(this.#bestWeights)
    const end: EndEvent = {
      event: 'end',
      epochs: progress.history.length,
      loss: progress.loss,
      bestEpoch: progress.best?.epoch ?? progress.history.length,
      seconds: progress.seconds,
      aborted,
      stoppedEarly: progress.stoppedEarly,
    }
    emit(end)
    return { epochs: progress.history, end }
  }

  get #isOver(): boolean {
    return this.#progress.epoch > this.#parts.settings.epochs || this.#progress.stoppedEarly
  }

  // ── beginning ──

  /** @throws ConfigError when a step does not fit */
  async #checkMemory(): Promise<void> {
    const { model, train, settings } = this.#parts
    const { batchSize, accumulate } = settings
    const shape = (size: number) => [size, ...train.sampleShape]
    model.train()
    try {
      const step = (size: number) =>
        this.#step.memory({ shape: shape(size), dtype: train.dtype }, { shape: [size], dtype: 'i32' })
      await checkMemory(step, batchSize, accumulate)
    } finally {
      model.eval()
    }
  }

  async #begin(): Promise<void> {
    const { settings } = this.#parts
    const { resume = false, emit } = settings
    const checkpoints = this.#checkpoints
    if (checkpoints === undefined || resume === false) {
      await settings.checkpoints?.onBegin?.()
      await checkpoints?.begin({ fresh: true })
      await this.#averages?.begin()
      return
    }
    const { path, tensors, state } = await checkpoints.latest((message) => emit({ event: 'warning', message }))
    const progress = progressFromJson(state.get('progress'))
    if (resume !== 'anyway') checkIdentity(path, state.get('identity'), this.#parts.identity)
    await restore(path, this.#states, tensors)
    await settings.checkpoints?.onBegin?.()
    await checkpoints.begin({ fresh: false })
    checkpoints.keep(progress.globalStep, progress.best?.epoch)
    // Who changes the end of a run wants it to go on.
    if (resume === 'anyway') progress.stoppedEarly = false
    this.#progress = progress
    await this.#recallBest(checkpoints)
  }

  /** The weights of the best epoch so far; where they can't be read, the search for the best begins anew, which is told. */
  async #recallBest(checkpoints: Checkpoints): Promise<void> {
    const { best } = this.#progress
    if (!this.#keepsBest || best === undefined) return
    try {
      this.#bestWeights = await checkpoints.readBest(best.epoch)
      this.#savedBest = best.epoch
    } catch (error) {
      if (!(error instanceof JuanjiError)) throw error
      this.#progress.best = undefined
      const message = `the weights of the best epoch are lost, another one will be the best: ${error.message.split('\n')[0]}`
      this.#parts.settings.emit({ event: 'warning', message })
    }
  }

  /** Whether the model may have to go back to the weights of an epoch. */
  get #keepsBest(): boolean {
    return this.#parts.held !== undefined || this.#averages !== undefined
  }

  async #emitStart(): Promise<void> {
    const { settings, model, train, held } = this.#parts
    const { epochs, batchSize, optimizer, seed, emit, resume = false } = settings
    const { epoch, step } = this.#progress
    emit({
      event: 'start',
      epochs,
      batchSize,
      stepsPerEpoch: this.#stepsPerEpoch,
      trainSamples: train.length,
      validationSamples: held?.length ?? 0,
      parameters: model.parameterCount,
      learningRate: this.#baseRate,
      optimizer: optimizer.name,
      seed,
      ...(await describeDevice()),
      ...(resume === false ? {} : { resumedAt: { epoch, step }, history: [...this.#progress.history] }),
    })
  }

  // ── an epoch ──

  async #epoch(): Promise<void> {
    const { settings, train } = this.#parts
    const { batchSize, accumulate, seed, signal, control } = settings
    const progress = this.#progress
    const begin = performance.now()
    const before = { epochSeconds: progress.epochSeconds, seconds: progress.seconds, samples: progress.samples }
    const clock = () => {
      const passed = (performance.now() - begin) / 1000
      progress.epochSeconds = before.epochSeconds + passed
      progress.seconds = before.seconds + passed
      return passed
    }
    const batches = train.batches({ size: batchSize, seed, epoch: progress.epoch, start: progress.samples })
    let group: Batch[] = []
    for await (const batch of batches) {
      group.push(batch)
      const seen = progress.samples + group.reduce((sum, { y }) => sum + y.shape[0], 0)
      if (group.length < accumulate && seen < train.length) continue
      await this.#update(group)
      group = []
      const passed = clock()
      this.#emitStep((progress.samples - before.samples) / passed)
      if (signal?.aborted === true || control?.finishing === true) break
      await this.#checkpointIfDue()
    }
    if (signal?.aborted !== true) await this.#endEpoch(clock)
  }

  async #update(batches: readonly Batch[]): Promise<void> {
    const { optimizer } = this.#parts.settings
    const progress = this.#progress
    progress.learningRate = this.#rate()
    optimizer.learningRate = progress.learningRate
    if (this.#averages !== undefined) this.#averages.step = progress.globalStep
    const outcome = await this.#step.run(batches)
    if (!outcome.finite) this.#diverged(outcome)
    progress.lossSum += outcome.loss * outcome.samples
    progress.right += outcome.right
    progress.samples += outcome.samples
    progress.step++
    progress.globalStep++
    progress.loss = progress.lossSum / progress.samples
  }

  #rate(): number {
    const { schedule, warmupSteps, epochs } = this.#parts.settings
    const { globalStep } = this.#progress
    return this.#baseRate * rateFactor(schedule, globalStep, epochs * this.#stepsPerEpoch, warmupSteps)
  }

  /** @throws ConfigError always: the weights are those of the step before */
  #diverged({ loss, gradientNorm }: StepOutcome): never {
    const { settings } = this.#parts
    const { epoch, step, globalStep } = this.#progress
    const what = Number.isFinite(loss) ? 'the gradients are' : 'the loss is'
    throw new ConfigError({
      where: 'fit',
      what: `${what} no longer a number: training has diverged`,
      got: `loss ${loss}, gradient norm ${gradientNorm} in epoch ${epoch}, step ${step + 1} (${globalStep + 1} of the run), at learning rate ${settings.optimizer.learningRate}`,
      expected: 'finite numbers; the model keeps the weights of the step before',
      fix: 'begin again with a lower learning rate, for instance a tenth (--lr), with warm-up steps (--warmup-steps), or with clipped gradients (--clip-norm 1; in code clipNorm: 1)',
    })
  }

  #emitStep(samplesPerSecond: number): void {
    const { settings, train } = this.#parts
    const { epoch, step, globalStep, loss, right, samples, learningRate } = this.#progress
    settings.emit({
      event: 'step',
      epoch,
      epochs: settings.epochs,
      step,
      stepsPerEpoch: this.#stepsPerEpoch,
      globalStep,
      loss,
      accuracy: right / samples,
      learningRate,
      samplesPerSecond,
      secondsLeft: (train.length * (settings.epochs - epoch + 1) - samples) / samplesPerSecond,
    })
  }

  async #endEpoch(clock: () => number): Promise<void> {
    const { settings, held } = this.#parts
    const { epochs, control, stopping, emit } = settings
    const progress = this.#progress
    const { epoch } = progress
    const measured = await this.#measure()
    // Stopped while measuring: the epoch is measured again when the run goes on.
    if (settings.signal?.aborted === true) return
    const accuracy = measured?.accuracy ?? progress.right / progress.samples
    const score = measured?.loss ?? progress.loss
    // Of equal accuracies the one with the smaller loss is better.
    const { best } = progress
    const isBest =
      best === undefined ||
      held === undefined ||
      accuracy > best.accuracy ||
      (accuracy === best.accuracy && score < best.loss)
    const event: EpochEvent = {
      event: 'epoch',
      epoch,
      epochs,
      loss: progress.loss,
      accuracy: progress.right / progress.samples,
      ...(measured === undefined ? {} : { validationLoss: measured.loss, validationAccuracy: measured.accuracy }),
      learningRate: progress.learningRate,
      samplesPerSecond: progress.samples / progress.epochSeconds,
      seconds: progress.epochSeconds,
      best: isBest,
    }
    if (isBest) {
      progress.best = { epoch, accuracy, loss: score }
      await this.#rememberBest()
    }
    clock()
    progress.history.push(event)
    Object.assign(progress, { epoch: epoch + 1, step: 0, samples: 0, lossSum: 0, right: 0, epochSeconds: 0 })
    progress.stoppedEarly =
      progress.epoch <= epochs && (control?.finishing === true || this.#isStale(stopping?.patience, stopping?.minDelta))
    emit(event)
    await this.#writeCheckpoint('epoch')
  }

  /** Loss and accuracy on the held-out data, with the averaged weights where there are any. */
  async #measure() {
    const { settings, model, held } = this.#parts
    if (held === undefined) return undefined
    const { epoch } = this.#progress
    const { signal, emit, loss, precision } = settings
    const body = () =>
      evaluate(model, held, {
        loss,
        precision,
        signal,
        onProgress: (done, total) => emit({ event: 'validation', epoch, done, total }),
      })
    try {
      return await (this.#averages === undefined ? body() : this.#averages.within(body))
    } catch (error) {
      if (signal?.aborted === true) return undefined
      throw error
    }
  }

  /** Whether the last `patience` epochs brought nothing better. */
  #isStale(patience: number | undefined, minDelta = 0): boolean {
    const { history } = this.#progress
    if (patience === undefined || this.#parts.held === undefined) return false
    let best = Number.NEGATIVE_INFINITY
    let since = 0
    for (const { validationAccuracy = 0 } of history) {
      const better = validationAccuracy > best + minDelta
      since = better ? 0 : since + 1
      if (better) best = validationAccuracy
    }
    return since >= patience
  }

  async #rememberBest(): Promise<void> {
    if (!this.#keepsBest) return
    const { model } = this.#parts
    const states = new Map([...model.parameters, ...model.states].map((state) => [state.name, state] as const))
    const read = () => valuesOf(states)
    this.#bestWeights = await (this.#averages === undefined ? read() : this.#averages.within(read))
  }

  // ── checkpoints ──

  async #checkpointIfDue(): Promise<void> {
    const { control, checkpoints } = this.#parts.settings
    if (checkpoints === undefined) return
    if (control?.takeCheckpoint() === true) return this.#writeCheckpoint('asked')
    const { everySeconds = defaultEverySeconds } = checkpoints
    const pause = Math.max(everySeconds, everySeconds === 0 ? 0 : this.#checkpointSeconds / checkpointShare)
    if (performance.now() - this.#lastCheckpoint >= 1000 * pause) await this.#writeCheckpoint('time')
  }

  async #writeCheckpoint(reason: CheckpointReason): Promise<void> {
    const checkpoints = this.#checkpoints
    if (checkpoints === undefined) return
    const { epoch, step, globalStep, best } = this.#progress
    const begin = performance.now()
    const write = async () => {
      // Before the checkpoint that knows of it: what it names is there.
      if (this.#bestWeights !== undefined && best !== undefined && this.#savedBest !== best.epoch) {
        await checkpoints.writeBest(best.epoch, this.#bestWeights)
        this.#savedBest = best.epoch
      }
      const state = { progress: progressToJson(this.#progress), identity: this.#parts.identity }
      const { path, bytes } = await checkpoints.write(
        globalStep,
        this.#states,
        state,
        this.#keepsBest ? best?.epoch : undefined,
      )
      const seconds = (performance.now() - begin) / 1000
      this.#checkpointSeconds = seconds
      this.#parts.settings.emit({ event: 'checkpoint', path, epoch, step, reason, bytes, seconds })
    }
    // Who stops now relies on this one.
    await (reason === 'stop' ? write() : this.#guarded(write))
    this.#lastCheckpoint = performance.now()
  }

  /** A full disk must not end a long run: it is told, and tried again next time. */
  async #guarded(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#parts.settings.emit({
        event: 'warning',
        message: `no checkpoint could be written, training goes on: ${error.message.split('\n')[0]}`,
      })
    }
  }
}
