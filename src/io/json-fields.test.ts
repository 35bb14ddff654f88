import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Field } from './json-fields.ts'
import { indexInJson } from './json-keys.ts'

describe('Field', () => {
  it('tells where in the text a value stands, when asked to', () => {
    const text = '{"a": [1, {"ü": "x,]}"}, true], "b" : 2}'
    const root = Field.parse(text, 'f.json', { offsets: true })
    expect(() => root.get('a').elements()[1].get('ü').number()).toThrow(
      `f.json: field a[1].ü is not what was expected (at byte offset 17).
  got       "x,]}"
  expected  a number`,
    )
    expect(() => root.get('a').elements()[2].string()).toThrow(
      'field a[2] is not what was expected (at byte offset 26)',
    )
    expect(() => root.get('b').string()).toThrow('field b is not what was expected (at byte offset 39)')
    // What is missing is where it should be.
    expect(() => root.get('a').elements()[1].get('c').string()).toThrow('(at byte offset 10)')
    expect(() => Field.parse('{"a": }', 'f.json', { offsets: true })).toThrow(
      /^f\.json: this is not JSON \(at byte offset \d+\)/,
    )
    expect(() => Field.parse(text, 'f.json').get('b').string()).toThrow('field b is not what was expected.')
  })
})

it('indexInJson finds every value of any JSON', () => {
  const walk = (value: unknown, text: string, keys: readonly (string | number)[]) => {
    const rest = text.slice(indexInJson(text, keys))
    // The text of a value, however it is spaced, begins like the value.
    const start = JSON.stringify(value)
    expect(rest.startsWith(typeof value === 'object' && value !== null ? start[0] : start)).toBe(true)
    if (Array.isArray(value)) value.forEach((inner, i) => void walk(inner, text, [...keys, i]))
    else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) walk(inner, text, [...keys, name])
    }
  }
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, spaces) => {
      const text = JSON.stringify(value, undefined, spaces)
      walk(JSON.parse(text), text, [])
    }),
  )
})
