/** What all networks by name have in common. */
import type { Shape } from '../base/shape.ts'
import type * as nn from '../nn/index.ts'

export interface ArchitectureOptions {
  /** Number of logits that come out. */
  readonly classes?: number
  /**
   * Shape of a sample, [height, width, channels]. It only chooses the form of networks that have several: `init` is what
   * fits the parameters to the samples.
   */
  readonly input?: Shape
}

/** A network by name: gives logits for pictures. */
export type Architecture = (options?: ArchitectureOptions) => nn.Layer

/** The shorter side in pixels; undefined where no shape is known. */
export function shorterSide(input: Shape | undefined): number | undefined {
  return input === undefined ? undefined : Math.min(...input.slice(0, 2))
}
