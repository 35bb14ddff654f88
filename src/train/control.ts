/** What may be asked of a training from outside while it runs. */

export interface TrainControl {
  /** Writes a checkpoint after the step in progress; nothing happens when the run keeps none. */
  checkpoint(): void
  /** Ends the run after the step in progress, as if all epochs were done. */
  finish(): void
  /** Engine only: whether a checkpoint was asked for; forgets it. */
  takeCheckpoint(): boolean
  readonly finishing: boolean
}

/**
 * Something to hand to `fit` and to keep: keys of a terminal or buttons of a page call it.
 * @example
 * const control = trainControl()
 * process.on('SIGUSR1', () => control.checkpoint())
 * await fit(net, data, { control, checkpoints: { folder: 'runs/mine' } })
 */
export function trainControl(): TrainControl {
  let asked = false
  let finishing = false
  return {
    checkpoint() {
      asked = true
    },
    finish() {
      finishing = true
    },
    takeCheckpoint() {
      const taken = asked
      asked = false
      return taken
    },
    get finishing() {
      return finishing
    },
  }
}
