/** `juanji summary`: the layers of a network and what they cost. */
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { isDirectory } from '#platform'
import { type LoadedModel, loadModel, models, type nn, type Shape, summarize } from '../../index.ts'
import { type CommonOptions, type Runner, type Task, unknownName, withCommonOptions } from '../command.ts'
import { formatCount, formatPercent, formatTable } from '../progress.ts'

interface SummaryOptions extends CommonOptions {
  readonly input?: Shape
}

export function addSummary(program: Command, run: Runner): void {
  const command = program
    .command('summary')
    .summary("show a network's layers")
    .description(
      'Show the layers of a trained model or of an architecture: shapes, parameters, multiply-adds a sample, and the receptive field.',
    )
    .argument('<model>', `folder that train wrote, or ${Object.keys(models.architectures).join(', ')}`)
    .option('--input <shape>', 'shape of a sample, for architectures (default: 28,28,1)', readShape)
  withCommonOptions(command, ['juanji summary runs/digits-1', 'juanji summary resnet8 --input 32,32,3'])
  command.action((name: string, options: SummaryOptions) => run(options, (task) => summary(task, name, options)))
}

function readShape(text: string): Shape {
  const shape = text.split(/[,x×]/).map(Number)
  if (shape.length < 1 || shape.some((extent) => !Number.isSafeInteger(extent) || extent < 1)) {
    throw new InvalidArgumentError('expected whole numbers such as 28,28,1.')
  }
  return shape
}

async function open(
  name: string,
  input: Shape | undefined,
): Promise<{ net: nn.Layer; input: Shape; loaded?: LoadedModel }> {
  const architectures: Readonly<Record<string, () => nn.Layer>> = models.architectures
  if (Object.hasOwn(architectures, name)) return { net: architectures[name](), input: input ?? [28, 28, 1] }
  if (!(await isDirectory(name)) && !/[/\\.]/.test(name))
    throw unknownName('model folder or architecture', name, Object.keys(architectures))
  const loaded = await loadModel(name)
  return { net: loaded.model.net, input: loaded.model.inputShape, loaded }
}

async function summary({ terminal }: Task, name: string, options: SummaryOptions): Promise<void> {
  const { net, input, loaded } = await open(name, options.input)
  const { layers, output, parameters, multiplyAdds } = summarize(net, input)
  for (const layer of layers) terminal.event({ event: 'layer', ...layer })
  const shape = (extents: Shape) => extents.join('×')
  terminal.line(`${terminal.bold(loaded?.architecture ?? name)}: ${shape(input)} to ${shape(output)}`)
  terminal.line()
  terminal.lines(
    formatTable(
      [
        ['layer', 'type', 'output', 'parameters', 'multiply-adds', 'sees'],
        ...layers.map((layer) => [
          layer.path,
          layer.type,
          shape(layer.output),
          formatCount(layer.parameters),
          formatCount(layer.multiplyAdds),
          layer.receptiveField === undefined ? '' : String(layer.receptiveField),
        ]),
      ],
      2,
    ),
  )
  terminal.line()
  terminal.line(`${formatCount(parameters)} parameters, ${formatCount(multiplyAdds)} multiply-adds a sample`)
  if (loaded !== undefined) showLoaded(terminal.line.bind(terminal), loaded)
  terminal.event({
    event: 'done',
    model: name,
    input,
    output,
    parameters,
    multiplyAdds,
    ...(loaded === undefined ? {} : { classes: loaded.classes, metrics: loaded.metrics ?? {} }),
  })
}

function showLoaded(line: (text: string) => void, { classes, metrics = {}, data }: LoadedModel): void {
  if (classes.length > 0)
    line(`classes: ${classes.slice(0, 20).join(', ')}${classes.length > 20 ? ` and ${classes.length - 20} more` : ''}`)
  if (typeof data.dataset === 'string')
    line(
      `trained on ${data.dataset}${metrics.testAccuracy === undefined ? '' : `, test accuracy ${formatPercent(metrics.testAccuracy)}`}`,
    )
}
