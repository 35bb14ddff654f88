/** One import, export-from or `import()` of a source file; type-only ones count too. */
export interface Import {
  readonly specifier: string
  /** Counted from 1. */
  readonly line: number
}

/** The imports of a TypeScript source text, in order. Needs no compiler: only comments and literals are told apart. */
export function importsOf(source: string): Import[] {
  const { code, strings } = withoutLiterals(source)
  const statement = /\b(?:import|export)\b[^'`;=()]*?\bfrom\s*'(\d+)'|(?<![.\w])import\s*\(?\s*'(\d+)'/g
  return Array.from(code.matchAll(statement), ([, from, plain]) => strings[Number(from ?? plain)])
}

/** Words after which a slash begins a regular expression. */
const beforeExpression = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|do|else|await|yield)$/

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const regex = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y
const string = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y

/** Source without comments, templates and regular expressions; each string is replaced by its number in `strings`. */
function withoutLiterals(source: string): { code: string; strings: Import[] } {
  const strings: Import[] = []
  let code = ''
  let line = 1
  /** Depth of braces at which each open `${` ends. */
  const templates: number[] = []
  let depth = 0
  let i = 0

  const skipTo = (end: number) => {
    for (; i < end; i++) if (source[i] === '\n') line++
  }
  const matchHere = (pattern: RegExp) => {
    pattern.lastIndex = i
    return pattern.exec(source)?.[0]
  }
  /** Skips template text up to its end or to the next `${`. */
  const skipTemplate = () => {
    skipTo(i + matchHere(/(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y)!.length)
    if (source[i] === '$') {
      templates.push(depth++)
      i += 2
    } else i++
  }

  while (i < source.length) {
    const character = source[i]
    const literal =
      character === '/' ? (matchHere(comment) ?? (isRegexAllowed(code) ? matchHere(regex) : undefined)) : undefined
    const text = character === "'" || character === '"' ? matchHere(string) : undefined
    if (literal !== undefined) {
      skipTo(i + literal.length)
      code += literal.startsWith('//') || literal.startsWith('/*') ? ' ' : ' 0 '
    } else if (text !== undefined) {
      code += `'${strings.push({ specifier: text.slice(1, -1), line }) - 1}'`
      skipTo(i + text.length)
    } else if (character === '`') {
      i++
      code += '`'
      skipTemplate()
    } else if (character === '}' && templates.at(-1) === depth - 1) {
      depth = templates.pop()!
      i++
      code += '`'
      skipTemplate()
    } else {
      if (character === '{') depth++
      if (character === '}') depth--
      code += character
      skipTo(i + 1)
    }
  }
  return { code, strings }
}

function isRegexAllowed(before: string): boolean {
  const code = before.slice(-40).trimEnd()
  return code === '' || /[(,=:[!&|?{};+\-*%~^<>]$/.test(code) || beforeExpression.test(code)
}
