/** What must be the same for a resumed run to repeat the bits of one that was never stopped. */
import { ConfigError } from '../base/errors.ts'
import { hashString } from '../base/random.ts'
import { version } from '../base/version.ts'
import { type Dataset, labelsOf } from '../data/dataset.ts'
import type { Field } from '../io/index.ts'
import { type Json, layerToJson } from '../nn/layer.ts'
import type { Model } from '../nn/model.ts'
import type { Settings } from './options.ts'

export type Identity = { readonly [name: string]: Json }

/** A short text for a data set: its size, shape and labels; the samples themselves are not looked at. */
async function dataIdentity(dataset: Dataset): Promise<string> {
  const labels = await labelsOf(dataset)
  const hash = hashString(`${dataset.classes.join('\n')}\n${labels.join()}`)
  return `${dataset.length} of [${dataset.sampleShape.join()}] ${(hash >>> 0).toString(16)}`
}

/** What decides the bits of a run, by the names people know it by. */
export async function identityOf(
  settings: Settings & { readonly batchSize: number },
  model: Model,
  train: Dataset,
  held: Dataset | undefined,
  backend: string,
): Promise<Identity> {
  const { optimizer, schedule, stopping, classWeights, augment, clipNorm, average } = settings
  const optional = (name: string, value: Json | undefined) => (value === undefined ? {} : { [name]: value })
  return {
    network: layerToJson(model.net) as unknown as Json,
    data: await dataIdentity(train),
    ...optional('held-out data', held === undefined ? undefined : await dataIdentity(held)),
    epochs: settings.epochs,
    batchSize: settings.batchSize,
    accumulate: settings.accumulate,
    optimizer: { name: optimizer.name, learningRate: optimizer.learningRate, ...optimizer.options },
    lrSchedule: { name: schedule.name, ...schedule.options },
    warmupSteps: settings.warmupSteps,
    labelSmoothing: settings.labelSmoothing,
    seed: settings.seed,
    backend,
    juanji: version,
    ...optional('precision', settings.precision === 'f32' ? undefined : settings.precision),
    ...optional('classWeights', classWeights),
    ...optional('augment', augment as Json | undefined),
    ...optional('clipNorm', clipNorm),
    ...optional('average', average),
    ...optional('earlyStopping', stopping as Json | undefined),
    ...settings.checkpoints?.identity,
  }
}

/** JSON whose fields stand in the order of their names. */
function canonical(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  const record = value as { readonly [name: string]: Json }
  const names = Object.keys(record)
    .filter((name) => record[name] !== undefined)
    .sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(record[name])}`).join()}}`
}

const longest = 60

/** @throws ConfigError naming all that differs between the checkpoint and this run */
export function checkIdentity(path: string, written: Field, now: Identity): void {
  const before = written.object() as Identity
  const differing = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter(
    (name) => canonical(before[name]) !== canonical(now[name]),
  )
  if (differing.length === 0) return
  const show = (value: Json | undefined) => {
    const text = typeof value === 'string' ? value : canonical(value)
    return text.length > longest ? `${text.slice(0, longest)}…` : text
  }
  const list = (of: Identity) => differing.map((name) => `${name} ${show(of[name])}`).join('; ')
  throw new ConfigError({
    where: path,
    what: `the run would not repeat: ${differing.join(', ')} ${differing.length === 1 ? 'is' : 'are'} not what the checkpoint was written with`,
    got: list(now),
    expected: list(before),
    fix: "resume with the same data, options and backend, or go on all the same with --resume-anyway (in code: resume: 'anyway')",
  })
}
