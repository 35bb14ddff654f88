/** A training on a terminal: the view of it, and the keys that steer it. */
import type { Task } from './command.ts'
import { type KeyHelp, LiveView } from './live-view.ts'

/** What may be asked of a training while it runs; the trainer's own control has these. */
export interface TrainingControl {
  /** Writes a checkpoint after the step in progress. */
  checkpoint(): void
  /** Ends the run after the step in progress, as if all epochs were done. */
  finish(): void
}

export interface TrainingViewOptions {
  readonly control: TrainingControl
  /** One line of progress, no keys. */
  readonly plain?: boolean
}

const help: readonly KeyHelp[] = [
  { key: 'q', short: 'stop', long: 'stop after this step; the run can be resumed' },
  { key: 'c', short: 'checkpoint now', long: 'write a checkpoint after this step' },
  { key: 'f', short: 'finish here', long: 'end the training here and write the model' },
  { key: '?', short: 'help', long: 'show or hide this' },
]

/**
 * Opens the view of a training and listens to the keys q, c, f and ?. Hand every event of the trainer to its `handle`; it
 * closes itself at the end event, and with the command whatever happens.
 */
export function openTrainingView(task: Task, { control, plain }: TrainingViewOptions): LiveView {
  const { terminal } = task
  let finishing = false
  // Keys without anything to see would be a surprise, and would take the terminal away from what else reads it.
  const listening =
    plain !== true &&
    terminal.canRedraw &&
    task.onKey((key) => {
      switch (key) {
        case 'q':
          task.stop()
          break
        case 'c':
          control.checkpoint()
          view.say('Writing a checkpoint after this step.')
          break
        case 'f':
          if (!finishing) view.say('Ending here: the model is written after this step.')
          finishing = true
          control.finish()
          break
        case '?':
          view.toggleHelp()
      }
    })
  const view = new LiveView(terminal, { plain, keys: listening ? help : [] })
  task.atEnd(() => view.close())
  return view
}
