/** What all networks by name have in common. */
import { ConfigError } from '../base/errors.ts'
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

/**
 * How many strides of 2, counted from the front, small pictures do without in networks that have five of them (or four):
 * one for up to 64 pixels, two for up to 32. The last maps are then not smaller than 3×3 for 17 pixels or more.
 */
export function stridesLeftOut(side: number): number {
  return side > 64 ? 0 : side > 32 ? 1 : 2
}

/** @throws ConfigError unless the factor on the filters is above 0 */
export function checkWidth(where: string, width: number, usual: string): void {
  if (width > 0 && Number.isFinite(width)) return
  throw new ConfigError({
    where,
    what: 'width makes no sense',
    got: String(width),
    expected: 'a factor above 0',
    fix: `use ${usual} as in the paper`,
  })
}
