/** What the answers of a classifier are worth: accuracy, top-5, and precision, recall and F1 of each class. */

export interface ClassMetrics {
  readonly name: string
  /** Of the samples said to be of this class, the share that is; 0 when none was. */
  readonly precision: number
  /** Of the samples of this class, the share that was found; 0 when there are none. */
  readonly recall: number
  /** Harmonic mean of precision and recall. */
  readonly f1: number
  readonly samples: number
}

export interface Metrics {
  /** Share of the samples whose class is right, in [0, 1]. */
  readonly accuracy: number
  /** Share of the samples whose class is among the five most probable; only with more than five classes. */
  readonly top5?: number
  /** Mean of the F1 of all classes that occur, as samples or as answers; each counts the same however rare it is. */
  readonly f1: number
  /** In the order of the classes. */
  readonly perClass: readonly ClassMetrics[]
  /** `confusion[actual][predicted]`, counts. */
  readonly confusion: readonly (readonly number[])[]
  readonly samples: number
}

/** Counts answers. */
export class Tally {
  readonly #names: readonly string[]
  readonly #counts: Float64Array
  readonly #classes: number
  #amongFive = 0
  #samples = 0

  /** @param classes outputs of the model @param names of the classes; numbers stand for missing ones */
  constructor(classes: number, names: readonly string[]) {
    this.#classes = classes
    this.#names = names
    this.#counts = new Float64Array(classes * classes)
  }

  /** @param better outputs that are larger than that of the actual class */
  add(actual: number, predicted: number, better: number): void {
    this.#counts[actual * this.#classes + predicted]++
    if (better < 5) this.#amongFive++
    this.#samples++
  }

  metrics(): Metrics {
    const n = this.#classes
    const confusion = Array.from({ length: n }, (_, i) => [...this.#counts.subarray(i * n, (i + 1) * n)])
    const perClass = confusion.map((row, i): ClassMetrics => {
      const samples = row.reduce((a, b) => a + b, 0)
      const answers = confusion.reduce((sum, other) => sum + other[i], 0)
      return {
        name: this.#names[i] ?? String(i),
        precision: answers === 0 ? 0 : row[i] / answers,
        recall: samples === 0 ? 0 : row[i] / samples,
        f1: samples + answers === 0 ? 0 : (2 * row[i]) / (samples + answers),
        samples,
      }
    })
    const occurring = perClass.filter((_, i) => confusion[i].some(Boolean) || confusion.some((row) => row[i] > 0))
    const right = confusion.reduce((sum, row, i) => sum + row[i], 0)
    return {
      accuracy: right / this.#samples,
      ...(n > 5 ? { top5: this.#amongFive / this.#samples } : {}),
      f1: occurring.reduce((sum, { f1 }) => sum + f1, 0) / Math.max(1, occurring.length),
      perClass,
      confusion,
      samples: this.#samples,
    }
  }
}
