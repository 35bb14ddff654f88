/** What a file says of its model beside the graph: names of classes, and what pictures are normalised with. */
import type { Shape } from '../../base/shape.ts'
import type { PictureNormalization } from '../../nn/model.ts'
import type { Message } from './schema.ts'

interface Prop {
  readonly key: string
  readonly value: string
}

/** A byte x becomes x · scale, then (x · scale - mean) / std. */
const scale = 1 / 255

/**
 * Entries of metadata_props.
 * @param pictures what whoever gives values to the graph has to do first; nothing where the graph does it itself
 */
export function metadataOf(
  classes: readonly string[] | undefined,
  pictures: PictureNormalization | undefined,
): readonly Prop[] {
  const props: Prop[] = []
  if (classes !== undefined) props.push({ key: 'classes', value: JSON.stringify(classes) })
  if (pictures !== undefined) {
    const { mean, std } = pictures
    props.push({ key: 'pictures', value: JSON.stringify({ scale, mean, std }) })
  }
  return props
}

/** The JSON under a key; undefined where there is none: other programs may keep something else under our names. */
function jsonOf(file: Message<'Model'>, key: string): unknown {
  try {
    return JSON.parse(file.metadataProps.find((prop) => prop.key === key)?.value ?? '')
  } catch {
    return undefined
  }
}

/** Class names, where the file was written with them: a JSON list under `classes`. */
export function classesOf(file: Message<'Model'>): { classes?: readonly string[] } {
  const classes = jsonOf(file, 'classes')
  return Array.isArray(classes) && classes.every((name) => typeof name === 'string') ? { classes } : {}
}

/** What pictures are normalised with, under `pictures`, where it fits samples of this shape. */
export function picturesOf(file: Message<'Model'>, input: Shape): PictureNormalization | undefined {
  const found = jsonOf(file, 'pictures')
  if (typeof found !== 'object' || found === null || input.length !== 3) return undefined
  const { scale: given = scale, mean, std } = found as { [key: string]: unknown }
  const isScale = typeof given === 'number' && Math.abs(given / scale - 1) < 1e-4
  const fits = (value: unknown): value is number | readonly number[] =>
    Number.isFinite(value) ||
    (Array.isArray(value) && value.length === input[2] && value.every((one) => Number.isFinite(one)))
  if (!isScale || !fits(mean) || !fits(std) || ![std].flat().every((one) => one > 0)) return undefined
  return { mean, std }
}
