/** Looks into parsed JSON that nobody has checked yet: every error is a FormatError with the path and the field. */
import { FormatError } from '../base/errors.ts'
import { byteOffsetOf, indexInJson } from './json-keys.ts'

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}…"` : JSON.stringify(value)
  return typeof value === 'object' ? 'an object' : String(value)
}

const atByte = (text: string, index: number): string => ` (at byte offset ${byteOffsetOf(text, index)})`

/** A text of JSON and the way to one of its values. */
interface Place {
  readonly text: string
  readonly keys: readonly (string | number)[]
}

/** A value of a JSON file and where in the file it stands. */
export class Field {
  readonly path: string
  /** As in JavaScript: `input.shape[0]`; empty for the whole file. */
  readonly name: string
  readonly value: unknown
  readonly #place: Place | undefined

  constructor(path: string, name: string, value: unknown, place?: Place) {
    this.path = path
    this.name = name
    this.value = value
    this.#place = place
  }

  /**
   * @param options offsets: whether errors tell the byte offset in the text; default false
   * @throws FormatError when the text is no JSON object
   */
  static parse(text: string, path: string, options: { readonly offsets?: boolean } = {}): Field {
    const { offsets = false } = options
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      const { message } = error as Error
      const index = Number(/position (\d+)/.exec(message)?.[1] ?? text.length)
      throw new FormatError({
        where: path,
        what: `this is not JSON${offsets ? atByte(text, index) : ''}`,
        got: message,
        expected: 'a JSON object',
        fix: 'get the file again, or save the model again',
      })
    }
    const field = new Field(path, '', value, offsets ? { text, keys: [] } : undefined)
    field.object()
    return field
  }

  /** ` (at byte offset 17)`, for messages about this value; empty where the text is not known. */
  get at(): string {
    return this.#place === undefined ? '' : atByte(this.#place.text, indexInJson(this.#place.text, this.#place.keys))
  }

  #inside(key: string | number): Place | undefined {
    return this.#place && { text: this.#place.text, keys: [...this.#place.keys, key] }
  }

  error(expected: string, fix = 'save the model again with a program that keeps to the format'): FormatError {
    return new FormatError({
      where: this.path,
      what: `${this.name === '' ? 'the file' : `field ${this.name}`} is not what was expected${this.at}`,
      got: this.value === undefined ? 'nothing' : typeName(this.value),
      expected,
      fix,
    })
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value))
      throw this.error('an object')
    return this.value as Record<string, unknown>
  }

  /** The field of this object with a name; its value is undefined when there is none. */
  get(name: string): Field {
    const object = this.object()
    const value = Object.hasOwn(object, name) ? object[name] : undefined
    return new Field(this.path, this.name === '' ? name : `${this.name}.${name}`, value, this.#inside(name))
  }

  get isThere(): boolean {
    return this.value !== undefined
  }

  entries(): (readonly [name: string, field: Field])[] {
    return Object.keys(this.object()).map((name) => [name, this.get(name)])
  }

  elements(): Field[] {
    if (!Array.isArray(this.value)) throw this.error('an array')
    return this.value.map((value: unknown, i) => new Field(this.path, `${this.name}[${i}]`, value, this.#inside(i)))
  }

  string(): string {
    if (typeof this.value !== 'string') throw this.error('a text')
    return this.value
  }

  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) throw this.error('a number')
    return this.value
  }

  integer(least: number): number {
    if (typeof this.value !== 'number' || !Number.isSafeInteger(this.value) || this.value < least) {
      throw this.error(`a whole number of at least ${least}`)
    }
    return this.value
  }

  oneOf<const T extends string>(...known: readonly T[]): T {
    const found = known.find((name) => name === this.value)
    if (found === undefined) throw this.error(known.map((name) => JSON.stringify(name)).join(' or '))
    return found
  }
}

const widest = 110

/** JSON for people: what fits on a line stays on it. */
export function showJson(value: unknown, indent = ''): string {
  const short = JSON.stringify(value)
  if (typeof value !== 'object' || value === null || short.length + indent.length <= widest) {
    return typeof value === 'object' && value !== null ? spaced(value) : short
  }
  const inner = `${indent}  `
  const entries = Array.isArray(value)
    ? value.map((element) => inner + showJson(element, inner))
    : Object.entries(value).map(([name, field]) => `${inner}${JSON.stringify(name)}: ${showJson(field, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return `${open}\n${entries.join(',\n')}\n${indent}${close}`
}

/** On one line, with spaces where one looks for them. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}: ${spaced(field)}`)
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`
}
