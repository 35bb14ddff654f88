/** Names and shapes that commands are given. */
import { InvalidArgumentError } from 'commander'
import { models, type Shape } from '../index.ts'

export const architectureNames: readonly string[] = Object.keys(models.architectures)

/** A reader for options that are shapes: `28,28,1` or `28x28x1`. */
export function readShape(text: string): Shape {
  const shape = text.split(/[,x×]/).map(Number)
  if (shape.length < 1 || shape.some((extent) => !Number.isSafeInteger(extent) || extent < 1)) {
    throw new InvalidArgumentError('expected whole numbers such as 28,28,1.')
  }
  return shape
}
