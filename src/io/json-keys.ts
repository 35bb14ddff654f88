/** Where in the text of a JSON file its keys stand, for messages; and whether one stands there twice. */

/** Indices of keys; a key is named by the place of the key its object belongs to, so that long names are held once. */
export type KeyPlaces = ReadonlyMap<string, number>

const outermost = -1
const within = (parent: number, key: string) => `${parent} ${key}`

/**
 * Where each key stands. JSON.parse keeps the last of two equal keys in silence; this looks at the text itself, which is
 * known to be JSON by now.
 * @param deepest keys of objects further inside are left out
 * @param twice what to throw at a key that its object has already
 */
export function keyPlaces(text: string, deepest: number, twice: (key: string, index: number) => Error): KeyPlaces {
  const places = new Map<string, number>()
  /** Index of the last key at each depth. */
  const path: number[] = [outermost]
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    else if (character === '"') {
      const end = endOfString(text, i)
      if (depth <= deepest && isColonNext(text, end)) {
        const name: string = JSON.parse(text.slice(i, end))
        const key = within(path[depth - 1] ?? outermost, name)
        if (places.has(key)) throw twice(JSON.stringify(name), i)
        places.set(key, i)
        path[depth] = i
      }
      i = end - 1
    }
  }
  return places
}

/** Index of the innermost key of a path that is there; 0 when none is. */
export function placeOf(places: KeyPlaces, path: readonly string[]): number {
  let place = outermost
  for (const key of path) {
    const next = places.get(within(place, key))
    if (next === undefined) break
    place = next
  }
  return Math.max(0, place)
}

/** Byte offset in the UTF-8 text of an index in the string. */
export function byteOffsetOf(text: string, index: number): number {
  return new TextEncoder().encode(text.slice(0, index)).length
}

/** Index behind the closing quote of the JSON string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}

/** Whether the next character that is not white space is a colon: what stands before it is a key. */
function isColonNext(text: string, index: number): boolean {
  let i = index
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++
  return text[i] === ':'
}

/**
 * Index where a value begins, by the names and numbers that lead to it; of the innermost that is there.
 * @param text known to be JSON
 */
export function indexInJson(text: string, keys: readonly (string | number)[]): number {
  let at = skipSpace(text, 0)
  for (const key of keys) {
    const inner = typeof key === 'number' ? element(text, at, key) : member(text, at, key)
    if (inner === undefined) return at
    at = inner
  }
  return at
}

function skipSpace(text: string, start: number): number {
  let i = start
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++
  return i
}

/** Index behind the value that begins at `start`. */
function endOfValue(text: string, start: number): number {
  let i = start
  let depth = 0
  do {
    const character = text[i]
    if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    i = character === '"' ? endOfString(text, i) : i + 1
  } while (depth > 0 && i < text.length)
  // A number, true, false or null ends in front of what parts values.
  if (!'"{['.includes(text[start])) while (i < text.length && !',]} \n\r\t'.includes(text[i])) i++
  return i
}

function element(text: string, array: number, index: number): number | undefined {
  if (text[array] !== '[') return undefined
  let at = skipSpace(text, array + 1)
  for (let i = 0; i < index; i++) {
    at = skipSpace(text, endOfValue(text, at))
    if (text[at] !== ',') return undefined
    at = skipSpace(text, at + 1)
  }
  return text[at] === ']' ? undefined : at
}

/** The last member of a name, as JSON.parse takes it. */
function member(text: string, object: number, name: string): number | undefined {
  if (text[object] !== '{') return undefined
  let found: number | undefined
  let at = skipSpace(text, object + 1)
  while (text[at] === '"') {
    const end = endOfString(text, at)
    const value = skipSpace(text, skipSpace(text, end) + 1)
    if (JSON.parse(text.slice(at, end)) === name) found = value
    at = skipSpace(text, endOfValue(text, value))
    if (text[at] !== ',') return found
    at = skipSpace(text, at + 1)
  }
  return found
}
