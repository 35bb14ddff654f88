/**
 * The checkpoints of a run: a folder with the last two and the weights of the best epochs those two know of.
 *
 *     step-00001200.safetensors   weights, slots, averages, keys of random numbers, how far the run is
 *     best-00003.safetensors      weights after epoch 3
 */
import { exists, isDirectory, joinPath, makeDirectory, readDirectory, removeTree } from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import { bestFile, checkpointFolder, type Field, readCheckpoint, stepFile, writeCheckpoint } from '../io/index.ts'
import type { Json } from '../nn/layer.ts'
import type { State } from '../tensor/index.ts'
import { valuesOf, type Weights } from './values.ts'

const kept = 2
const isOurs = (name: string) => stepFile.test(name) || bestFile.test(name)
const pathOfStep = (step: number) => `step-${String(step).padStart(8, '0')}.safetensors`
const pathOfBest = (epoch: number) => `best-${String(epoch).padStart(5, '0')}.safetensors`

export class Checkpoints {
  readonly folder: string
  /** Checkpoints that are kept, oldest first, and the best epoch each knows of. */
  readonly #bestOf = new Map<string, number | undefined>()

  /** @param run folder of the run; checkpoints go into `checkpoints/` inside it */
  constructor(run: string) {
    this.folder = joinPath(run, checkpointFolder)
  }

  /**
   * Makes the folder and removes what a killed run left half-written.
   * @throws ConfigError when a new run finds the checkpoints of another one, or the folder can't be written
   */
  async begin(options: { readonly fresh: boolean }): Promise<void> {
    await makeDirectory(this.folder)
    for (const name of await readDirectory(this.folder)) {
      // Weights of a best epoch without a checkpoint are what a run left that was killed before its first.
      const stray = options.fresh && bestFile.test(name)
      if (name.endsWith('.tmp') || stray) await removeTree(joinPath(this.folder, name))
      if (!options.fresh || !stepFile.test(name)) continue
      throw new ConfigError({
        where: this.folder,
        what: 'the folder already holds the checkpoints of a run',
        got: name,
        expected: 'a new run to begin in a folder without checkpoints',
        fix: 'choose another folder, go on with that run (--resume; in code: resume: true), or remove its checkpoints',
      })
    }
  }

  /**
   * Writes a checkpoint, then removes the oldest.
   * @returns where it is and its size
   * @throws ConfigError when it can't be written; the earlier ones are still there
   */
  async write(
    step: number,
    states: ReadonlyMap<string, State>,
    state: Json,
    bestEpoch: number | undefined,
  ): Promise<{ readonly path: string; readonly bytes: number }> {
    const name = pathOfStep(step)
    const path = joinPath(this.folder, name)
    const bytes = await writeCheckpoint(path, { tensors: await valuesOf(states), state })
    this.#bestOf.delete(name)
    this.#bestOf.set(name, bestEpoch)
    await this.#prune()
    return { path, bytes }
  }

  /** Keeps the weights of the best epoch so far: beside the earlier ones, until a checkpoint knows of it. */
  async writeBest(epoch: number, weights: Weights): Promise<void> {
    await writeCheckpoint(joinPath(this.folder, pathOfBest(epoch)), { tensors: weights, state: { epoch } })
  }

  async readBest(epoch: number): Promise<Weights> {
    return (await readCheckpoint(joinPath(this.folder, pathOfBest(epoch)))).tensors
  }

  async #prune(): Promise<void> {
    for (const name of [...this.#bestOf.keys()].slice(0, -kept)) this.#bestOf.delete(name)
    const needed = new Set<string>(this.#bestOf.keys())
    for (const epoch of this.#bestOf.values()) if (epoch !== undefined) needed.add(pathOfBest(epoch))
    for (const name of await readDirectory(this.folder)) {
      if (isOurs(name) && !needed.has(name)) await removeTree(joinPath(this.folder, name))
    }
  }

  /**
   * The newest checkpoint that can be read.
   * @param warn is told of newer ones that can't
   * @throws ConfigError when there is none, FormatError when none can be read
   */
  async latest(warn: (message: string) => void): Promise<{ path: string; tensors: Weights; state: Field }> {
    const names = (await isDirectory(this.folder))
      ? (await readDirectory(this.folder)).filter((n) => stepFile.test(n))
      : []
    if (names.length === 0) {
      throw new ConfigError({
        where: this.folder,
        what: 'there is no checkpoint to go on from',
        got: (await exists(this.folder)) ? 'a folder without step-….safetensors' : 'no such folder',
        expected: 'the folder of a run that was stopped after its first checkpoint',
        fix: 'check the path, or begin a new run',
      })
    }
    let failure: unknown
    for (const name of names.toReversed()) {
      const path = joinPath(this.folder, name)
      try {
        const { tensors, state } = await readCheckpoint(path)
        return { path, tensors, state }
      } catch (error) {
        if (!(error instanceof FormatError)) throw error
        failure ??= error
        warn(`${path} cannot be read and is left out: ${error.message.split('\n')[0]}`)
      }
    }
    throw failure
  }

  /** A checkpoint that was there before: it is kept, and so are the weights of the best epoch it knows of. */
  keep(step: number, bestEpoch: number | undefined): void {
    this.#bestOf.set(pathOfStep(step), bestEpoch)
  }
}
