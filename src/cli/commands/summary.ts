/** `juanji summary`: the layers of a network and what they cost. */
import type { Command } from 'commander'
import { type OpenedModel, summarize, trainingMemory } from '../../index.ts'
import { type CommonOptions, type Runner, type Task, wholeNumber, withCommonOptions } from '../command.ts'
import { type ModelFileChoice, modelArgument, withModelFileOptions } from '../model-files.ts'
import { architectureNames } from '../names.ts'
import { openNetwork } from '../open-network.ts'
import { formatPercent } from '../progress.ts'
import { layersToDepth, showExtents, summaryTable, summaryTotals } from '../summary-table.ts'

interface SummaryOptions extends CommonOptions, ModelFileChoice {
  readonly depth?: number
  readonly batchSize: number
}

export function addSummary(program: Command, run: Runner): void {
  const command = program
    .command('summary')
    .summary("show a network's layers")
    .description(
      'Show the layers of a trained model or of an architecture: output shapes, parameters, multiply-adds a sample, the ' +
        'memory that training keeps of a sample, and how many pixels along the height one output value sees.',
    )
    .argument('<model>', `${modelArgument}; or an architecture: ${architectureNames.join(', ')}`)
    .option('--depth <n>', 'levels shown; what lies deeper is told as sums', wholeNumber(1))
    .option('--batch-size <n>', 'samples a step, for the memory that training takes', wholeNumber(1), 64)
  withModelFileOptions(command)
  withCommonOptions(command, [
    'juanji summary runs/digits-1',
    'juanji summary squeezenet.onnx',
    'juanji summary resnet18 --input 224,224,3 --depth 2',
  ])
  command.action((name: string, options: SummaryOptions) => run(options, (task) => summary(task, name, options)))
}

async function summary({ terminal }: Task, name: string, options: SummaryOptions): Promise<void> {
  const { net, input, loaded } = await openNetwork(name, options, {
    called: 'model or architecture',
    known: architectureNames,
  })
  const { batchSize, depth = Number.POSITIVE_INFINITY } = options
  const found = summarize(net, input)
  const memory = trainingMemory(found, batchSize)

  terminal.line(`${terminal.bold(loaded?.architecture ?? name)}: ${showExtents(input)} to ${showExtents(found.output)}`)
  terminal.line()
  terminal.lines(summaryTable(found, terminal.columns, depth))
  terminal.line()
  terminal.lines(summaryTotals(found, batchSize, memory))
  if (loaded !== undefined) showLoaded(terminal.line.bind(terminal), loaded)

  for (const { layers: _inside, branches: _branches, wires: _wires, ...layer } of layersToDepth(found, depth))
    terminal.event({ event: 'layer', ...layer })
  const { output, parameters, trainable, states, multiplyAdds, activationBytes, largest } = found
  terminal.event({
    event: 'done',
    model: name,
    input,
    output,
    parameters,
    trainable,
    states,
    multiplyAdds,
    activationBytes,
    ...(largest === undefined ? {} : { largest: { path: largest.path, parameters: largest.parameters } }),
    training: { batchSize, ...memory },
    ...(loaded === undefined ? {} : { classes: loaded.classes, metrics: loaded.metrics ?? {} }),
  })
}

function showLoaded(
  line: (text: string) => void,
  { classes, metrics = {}, data, imported, weights }: OpenedModel,
): void {
  line('')
  if (imported !== undefined) line(`read from ${imported.format}`)
  if (weights !== undefined) line(`weights read from ${weights.format}`)
  if (classes.length > 0)
    line(`classes: ${classes.slice(0, 20).join(', ')}${classes.length > 20 ? ` and ${classes.length - 20} more` : ''}`)
  if (typeof data.dataset === 'string')
    line(
      `trained on ${data.dataset}${metrics.testAccuracy === undefined ? '' : `, test accuracy ${formatPercent(metrics.testAccuracy)}`}`,
    )
}
