/** Values of a Keras config, with Keras's own defaults where they are missing. */
import type { Field } from '../json-fields.ts'

const isGiven = (field: Field) => field.isThere && field.value !== null

/** Some versions of Keras write a tuple as `{ class_name: '__tuple__', items: […] }`. */
export function listIn(field: Field): Field {
  const { value } = field
  return typeof value === 'object' && value !== null && 'items' in value ? field.get('items') : field
}

export const numberOr = (config: Field, name: string, missing: number): number => {
  const field = config.get(name)
  return isGiven(field) ? field.number() : missing
}

export const integerOr = (config: Field, name: string, least: number, missing: number): number => {
  const field = config.get(name)
  return isGiven(field) ? field.integer(least) : missing
}

export const textOr = <const T extends string>(config: Field, name: string, known: readonly T[], missing: T): T => {
  const field = config.get(name)
  return isGiven(field) ? field.oneOf(...known) : missing
}

export function booleanOr(config: Field, name: string, missing: boolean): boolean {
  const field = config.get(name)
  if (!isGiven(field)) return missing
  if (typeof field.value !== 'boolean') throw field.error('true or false')
  return field.value
}

/** A whole number for every axis: one for all, or a list. @param missing default: one has to be there */
export function perAxis(config: Field, name: string, rank: number, missing?: number | readonly number[]): number[] {
  const field = listIn(config.get(name))
  const spread = (value: number) => new Array<number>(rank).fill(value)
  if (!isGiven(field) && missing !== undefined) return typeof missing === 'number' ? spread(missing) : [...missing]
  if (!Array.isArray(field.value)) return spread(field.integer(1))
  const values = field.elements().map((element) => element.integer(1))
  if (values.length === rank) return values
  // Keras wrote the single size of a row as a list of one.
  if (values.length === 1) return spread(values[0])
  throw field.error(`${rank} whole numbers`)
}

/** What stands before and behind each axis: a number, one for each axis, or pairs. */
export function pairs(config: Field, name: string, rank: number): (readonly [number, number])[] {
  const field = listIn(config.get(name))
  if (!isGiven(field)) return new Array<readonly [number, number]>(rank).fill([1, 1])
  const pair = (written: Field): readonly [number, number] => {
    const of = listIn(written)
    if (!Array.isArray(of.value)) return [of.integer(0), of.integer(0)]
    const both = of.elements().map((element) => element.integer(0))
    if (both.length !== 2) throw of.error('two whole numbers')
    return [both[0], both[1]]
  }
  if (!Array.isArray(field.value)) return new Array<readonly [number, number]>(rank).fill(pair(field))
  if (rank === 1) return [pair(field)]
  const all = field.elements().map(pair)
  if (all.length !== rank) throw field.error(`${rank} numbers or pairs`)
  return all
}

/** One number where all are equal, as a person would write it. */
export const short = <T extends readonly number[]>(values: T): T | number =>
  values.every((value) => value === values[0]) ? values[0] : values
