import type { Polyline } from './digit-strokes.ts'

/** Pixels along each edge of a picture. */
export const side = 28

/**
 * Draws a polyline into `ink` ([28, 28], 0 to 1), keeping the darker of old and new.
 * @param softness width of the edge's ramp, in pixels
 */
export function drawPolyline(ink: Float64Array, { points, radii }: Polyline, softness: number): void {
  for (let i = 0; i + 1 < radii.length; i++) {
    drawPiece(
      ink,
      [points[2 * i], points[2 * i + 1], radii[i]],
      [points[2 * i + 2], points[2 * i + 3], radii[i + 1]],
      softness,
    )
  }
}

type Dot = readonly [x: number, y: number, radius: number]

/** One straight piece, its radius changing evenly from one end to the other; only the pixels it can reach are visited. */
function drawPiece(ink: Float64Array, [ax, ay, ar]: Dot, [bx, by, br]: Dot, softness: number): void {
  const reach = Math.max(ar, br) + softness / 2
  const left = Math.max(0, Math.ceil(Math.min(ax, bx) - reach))
  const right = Math.min(side - 1, Math.floor(Math.max(ax, bx) + reach))
  const top = Math.max(0, Math.ceil(Math.min(ay, by) - reach))
  const bottom = Math.min(side - 1, Math.floor(Math.max(ay, by) + reach))
  const dx = bx - ax
  const dy = by - ay
  const scale = 1 / (dx * dx + dy * dy + 1e-12)
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) * scale, 0), 1)
      const ex = x - ax - along * dx
      const ey = y - ay - along * dy
      const edge = ar + along * (br - ar) - Math.sqrt(ex * ex + ey * ey)
      const value = edge / softness + 0.5
      const at = y * side + x
      if (value > ink[at]) ink[at] = value < 1 ? value : 1
    }
  }
}
