/** A network that a command is given by name: an architecture, or the folder of a trained model. */
import { InvalidArgumentError } from 'commander'
import { isDirectory } from '#platform'
import { ConfigError } from '../base/errors.ts'
import { type LoadedModel, loadModel, models, type nn, type Shape } from '../index.ts'
import { unknownName } from './command.ts'

export interface Opened {
  readonly net: nn.Layer
  readonly input: Shape
  /** For folders. */
  readonly loaded?: LoadedModel
}

export const architectureNames: readonly string[] = Object.keys(models.architectures)

export interface NetworkChoice {
  readonly input?: Shape
  readonly classes?: number
}

/**
 * @param what what names stand for, for the message about an unknown one
 * @throws ConfigError when there is no such thing, and for options that a trained model does not take
 */
export async function openNetwork(
  name: string,
  options: NetworkChoice,
  what: { readonly called: string; readonly known: readonly string[] },
): Promise<Opened> {
  const architectures: Readonly<Record<string, models.Architecture>> = models.architectures
  if (Object.hasOwn(architectures, name)) {
    const input = options.input ?? models.usualInputs[name as models.ArchitectureName]
    return { net: architectures[name]({ classes: options.classes, input }), input }
  }
  if (!(await isDirectory(name)) && !/[/\\.]/.test(name)) throw unknownName(what.called, name, what.known)
  for (const option of ['input', 'classes'] as const) {
    if (options[option] === undefined) continue
    throw new ConfigError({
      where: `--${option}`,
      what: 'a trained model has its own',
      got: `the folder ${name}`,
      expected: `this option together with one of ${architectureNames.join(', ')}`,
      fix: `leave --${option} out`,
    })
  }
  const loaded = await loadModel(name)
  return { net: loaded.model.net, input: loaded.model.inputShape, loaded }
}

/** A reader for options that are shapes: `28,28,1` or `28x28x1`. */
export function readShape(text: string): Shape {
  const shape = text.split(/[,x×]/).map(Number)
  if (shape.length < 1 || shape.some((extent) => !Number.isSafeInteger(extent) || extent < 1)) {
    throw new InvalidArgumentError('expected whole numbers such as 28,28,1.')
  }
  return shape
}
