import { ConfigError } from '../../base/errors.ts'

/**
 * How a name of the file becomes one of the model: a prefix that is taken away or replaced, a pattern (a text means the
 * text itself, everywhere) with what stands in its place, or a function, whose undefined leaves the tensor out.
 */
export type RenameRule =
  | { readonly prefix: string; readonly to?: string }
  | readonly [pattern: string | RegExp, replacement: string]
  | ((name: string) => string | undefined)

/** All rules after each other. */
export function renamer(rules: RenameRule | readonly RenameRule[] | undefined): (name: string) => string | undefined {
  const each = rules === undefined ? [] : isList(rules) ? rules.map(asFunction) : [asFunction(rules)]
  return (name) => each.reduce<string | undefined>((now, rule) => (now === undefined ? now : rule(now)), name)
}

function isList(rules: RenameRule | readonly RenameRule[]): rules is readonly RenameRule[] {
  const [first, second] = Array.isArray(rules) ? rules : []
  const isRule = (typeof first === 'string' || first instanceof RegExp) && typeof second === 'string'
  return Array.isArray(rules) && !isRule
}

function asFunction(rule: RenameRule): (name: string) => string | undefined {
  if (typeof rule === 'function') return rule
  if (isPattern(rule)) {
    const [pattern, replacement] = rule
    return (name) =>
      typeof pattern === 'string' ? name.replaceAll(pattern, () => replacement) : name.replace(pattern, replacement)
  }
  const { prefix, to = '' } = rule
  if (typeof prefix !== 'string') {
    throw new ConfigError({
      where: 'loadWeights',
      what: 'a rule of rename makes no sense',
      got: JSON.stringify(rule),
      expected: '{ prefix, to? }, [pattern, replacement] or a function',
      fix: "for instance rename: { prefix: 'backbone.' } or rename: [/^fc\\./, 'head.']",
    })
  }
  return (name) => (name.startsWith(prefix) ? to + name.slice(prefix.length) : name)
}

function isPattern(rule: RenameRule): rule is readonly [pattern: string | RegExp, replacement: string] {
  return Array.isArray(rule)
}

/** A first part that all names have, when the model knows some of them without it; '' otherwise. */
export function sharedPrefix(names: readonly string[], places: ReadonlyMap<string, unknown>): string {
  const [first = ''] = names
  for (let dot = first.indexOf('.'); dot >= 0; dot = first.indexOf('.', dot + 1)) {
    const prefix = first.slice(0, dot + 1)
    if (!names.every((name) => name.startsWith(prefix))) return ''
    if (names.some((name) => places.has(name.slice(prefix.length)))) return prefix
  }
  return ''
}
