/** A network that a command is given by name: an architecture, or a model in a folder or a file. */
import { exists } from '#platform'
import { ConfigError } from '../base/errors.ts'
import { models, type nn, type OpenedModel, type Shape } from '../index.ts'
import { unknownName } from './command.ts'
import { type ModelFileChoice, openModelFile } from './model-files.ts'

export interface Opened {
  readonly net: nn.Layer
  readonly input: Shape
  /** For folders and files. */
  readonly loaded?: OpenedModel
}

/**
 * @param what what names stand for, for the message about an unknown one
 * @throws ConfigError when there is no such thing, and for options that it does not take
 */
export async function openNetwork(
  name: string,
  choice: ModelFileChoice,
  what: { readonly called: string; readonly known: readonly string[] },
): Promise<Opened> {
  const architectures: Readonly<Record<string, models.Architecture>> = models.architectures
  if (Object.hasOwn(architectures, name)) {
    refuseForArchitecture(name, choice)
    const input = choice.input ?? models.usualInputs[name as models.ArchitectureName]
    return { net: architectures[name]({ classes: choice.classes, input }), input }
  }
  if (!(await exists(name)) && !/[/\\.]/.test(name)) throw unknownName(what.called, name, what.known)
  const loaded = await openModelFile(name, choice)
  return { net: loaded.model.net, input: loaded.model.inputShape, loaded }
}

function refuseForArchitecture(name: string, choice: ModelFileChoice): void {
  for (const option of ['arch', 'output', 'loose', 'labels', 'normalize'] as const) {
    if (choice[option] === undefined) continue
    throw new ConfigError({
      where: `--${option}`,
      what: 'this option is about a file',
      got: `the architecture ${name}`,
      expected: 'it together with a model file',
      fix: `leave --${option} out`,
    })
  }
}
