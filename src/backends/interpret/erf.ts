/**
 * The error function in double precision, |error| < 1e-15. Up to 1.5 the series of Abramowitz and Stegun 7.1.6, whose
 * terms are all positive; beyond it their continued fraction 7.1.14 for 1 - erf(x), evaluated from the back.
 */
const seriesEnd = 1.5
const one = 6

export function erf(x: number): number {
  if (Number.isNaN(x)) return x
  const a = Math.abs(x)
  if (a >= one) return Math.sign(x)
  if (a > seriesEnd) return Math.sign(x) * (1 - complement(a))
  const square = x * x
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n++) {
    term *= (2 * square) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * sum
}

/** erfc(x) = exp(-x²) / √π · 1 / (x + ½ / (x + 1 / (x + 3/2 / (x + 2 / (x + …))))) */
function complement(x: number): number {
  let denominator = x
  for (let n = 200; n >= 1; n--) denominator = x + n / 2 / denominator
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * denominator)
}
