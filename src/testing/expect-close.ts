/** Comparing numbers the way the whole project does: largest absolute difference over the largest magnitude. */

/**
 * Largest absolute difference over the largest magnitude of `expected` (over 1 where all of it is 0). Equal infinities
 * and two NaN count as equal; any other pair that is not finite, and different lengths, give Infinity.
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let magnitude = 0
  let difference = 0
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) {
      if (Number.isFinite(expected[i])) magnitude = Math.max(magnitude, Math.abs(expected[i]))
      continue
    }
    if (!Number.isFinite(actual[i]) || !Number.isFinite(expected[i])) return Number.POSITIVE_INFINITY
    magnitude = Math.max(magnitude, Math.abs(expected[i]))
    difference = Math.max(difference, Math.abs(actual[i] - expected[i]))
  }
  return difference / (magnitude || 1)
}

/**
 * Throws unless {@link relativeError} is at most the tolerance; the message names the worst element.
 * @param what named in the message
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance = 1e-6,
  what = 'values',
): void {
  const error = relativeError(actual, expected)
  if (error <= tolerance) return
  if (actual.length !== expected.length) {
    throw new Error(`${what}: got ${actual.length} numbers, expected ${expected.length}`)
  }
  let worst = 0
  let largest = -1
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue
    const difference = Math.abs(actual[i] - expected[i])
    if (Number.isFinite(difference) && difference <= largest) continue
    worst = i
    largest = difference
    if (!Number.isFinite(difference)) break
  }
  throw new Error(
    `${what}: off by ${error.toExponential(2)} of the largest magnitude, more than ${tolerance}; ` +
      `element ${worst} is ${actual[worst]}, expected ${expected[worst]}`,
  )
}
