/** The parts of an error message: what went wrong, then what was got, what was expected and what to do about it. */
export interface Problem {
  /** Where: the op, layer, file or option, as the user knows it (`conv2d`, `train-images.gz`, `--lr`). */
  readonly where: string
  /** What is wrong, in one clause without a full stop. */
  readonly what: string
  readonly got?: string
  readonly expected?: string
  readonly fix?: string
}

function text(name: string, problem: Problem): string {
  let message = `${name}: ${problem.where}: ${problem.what}.`
  for (const label of ['got', 'expected', 'fix'] as const) {
    const value = problem[label]
    if (value !== undefined) message += `\n  ${label.padEnd(9)} ${value}`
  }
  return message
}

/** Base of every error the library raises on purpose; `problem` holds the fields the message is made of. */
export abstract class JuanjiError extends Error {
  readonly problem: Problem
  constructor(name: string, problem: Problem) {
    super(text(name, problem).slice(name.length + 2))
    this.name = name
    this.problem = problem
  }
}

/** Shapes or ranks that do not fit an operation. Raised while the graph is built, never inside a kernel. */
export class ShapeError extends JuanjiError {
  constructor(problem: Problem) {
    super('ShapeError', problem)
  }
}

/** An element type an operation does not take. There is no silent promotion. */
export class DTypeError extends JuanjiError {
  constructor(problem: Problem) {
    super('DTypeError', problem)
  }
}

/** Something well-formed that this backend, machine or version cannot do. */
export class UnsupportedError extends JuanjiError {
  constructor(problem: Problem) {
    super('UnsupportedError', problem)
  }
}

/** A file or buffer that is not what its format says. Names the path and, where known, the byte offset. */
export class FormatError extends JuanjiError {
  constructor(problem: Problem) {
    super('FormatError', problem)
  }
}

/** An option or a combination of options that makes no sense. */
export class ConfigError extends JuanjiError {
  constructor(problem: Problem) {
    super('ConfigError', problem)
  }
}

/** Number of single-character edits between two words. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      current[j] = Math.min(substitution, previous[j] + 1, current[j - 1] + 1)
    }
    previous = current
  }
  return previous[b.length]
}

/** The known name closest to a mistyped one, or undefined when none is close enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `fix` text for an unknown name: the nearest known one, or all of them. */
export function didYouMean(name: string, known: readonly string[]): string {
  const candidate = nearest(name, known)
  return candidate === undefined ? `use one of: ${known.join(', ')}` : `did you mean '${candidate}'?`
}

/** Throws when `options` has a key that is not in `known`: a mistyped option must not be ignored. */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    throw new ConfigError({
      where,
      what: `unknown option '${key}'`,
      expected: known.join(', '),
      fix: didYouMean(key, known),
    })
  }
}

/** @throws ConfigError unless `holds`: a number that is out of range */
export function checkRange(where: string, name: string, value: unknown, holds: boolean, expected: string): void {
  if (holds) return
  throw new ConfigError({ where, what: `${name} makes no sense`, got: String(value), expected, fix: `correct ${name}` })
}
