/** What comes out of files that carry an architecture with the weights. */
import type { Model } from '../nn/model.ts'

export interface ImportedModel {
  /** In inference mode. Every layer is an ordinary one: it trains, is saved, and is written to other formats. */
  readonly model: Model
  /** Class names by number, where the file names them. */
  readonly classes?: readonly string[]
  /**
   * What samples are: bytes, as pictures are, or whole numbers, as words of a text are; left out where they are floats or the
   * file does not tell.
   */
  readonly dtype?: 'u8' | 'f32' | 'i32'
  readonly report: ImportReport
}

/** What was done to a file's model on its way in. */
export interface ImportReport {
  /** For people: `ONNX opset 17, written by pytorch 2.4`. */
  readonly format: string
  /** For people, in the order in which things were done: `input turned from [3, 224, 224] to [224, 224, 3]`. */
  readonly notes: readonly string[]
}
