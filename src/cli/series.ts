/** A curve of any number of points in bounded memory. */

export interface Point {
  readonly x: number
  readonly y: number
}

const capacity = 1024

/** Keeps means of neighbouring points; neighbours are joined whenever there are more than 1024. */
export class Series {
  /** Values that one point stands for. */
  #stride = 1
  #points: Point[] = []
  #sumX = 0
  #sumY = 0
  #pending = 0

  /** @param x not below that of the point before; values that are no numbers are left out */
  add(x: number, y: number): void {
    if (!Number.isFinite(y)) return
    this.#sumX += x
    this.#sumY += y
    if (++this.#pending < this.#stride) return
    this.#points.push(this.#mean())
    this.#sumX = this.#sumY = this.#pending = 0
    if (this.#points.length < capacity) return
    this.#points = Array.from({ length: capacity / 2 }, (_, i) => {
      const [a, b] = [this.#points[2 * i], this.#points[2 * i + 1]]
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }
    })
    this.#stride *= 2
  }

  /** At most 1024 points in order of x, the latest values included. */
  points(): readonly Point[] {
    return this.#pending === 0 ? this.#points : [...this.#points, this.#mean()]
  }

  #mean(): Point {
    return { x: this.#sumX / this.#pending, y: this.#sumY / this.#pending }
  }
}

const inertia = 0.9

/** Running mean in which a value counts a tenth, and older ones less and less; without the pull to 0 at the beginning. */
export class Smoothed {
  #sum = 0
  #weight = 0

  add(value: number): number {
    if (Number.isFinite(value)) {
      this.#sum = inertia * this.#sum + (1 - inertia) * value
      this.#weight = inertia * this.#weight + (1 - inertia)
    }
    return this.#sum / this.#weight
  }
}

/** From a mean over all steps so far to the values of the steps, as far as the steps are told one by one. */
export class Unaveraged {
  #count = 0
  #mean = 0

  /** @param count steps that `mean` is over; returns the mean of those since the last call, or of all after a new start */
  next(count: number, mean: number): number {
    const steps = count - this.#count
    const value = this.#count === 0 || steps <= 0 ? mean : (count * mean - this.#count * this.#mean) / steps
    this.#count = count
    this.#mean = mean
    return value
  }
}
