/** Work on the items of a stream, some of them ahead of the one that is looked at. */

export interface ReadAheadLimits {
  /** Items that are worked on at once. */
  readonly atOnce: number
  /** Items that are begun before the reader asks for them: what waits in memory. */
  readonly ahead: number
}

/**
 * Results in the order of the items. The source is asked for at most `ahead` items more than have been read, and
 * nothing is begun any more once the reader stops.
 * @throws whatever the source or the work throws, when its turn comes
 */
export async function* readAhead<Item, Result>(
  source: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  { atOnce, ahead }: ReadAheadLimits,
): AsyncGenerator<Result> {
  const items = source[Symbol.asyncIterator]()
  const slots = new Slots(atOnce)
  const begun: Promise<{ readonly result: Result } | undefined>[] = []
  let stopped = false
  // A generator answers requests in their order, so that the next item can be asked for before the last one came.
  const begin = () => {
    const result = items.next().then(async (next) => {
      if (next.done === true || stopped) return undefined
      return slots.use(async () => (stopped ? undefined : { result: await work(next.value) }))
    })
    // Told when its turn comes; until then it must not count as unhandled.
    result.catch(() => undefined)
    begun.push(result)
  }
  try {
    for (let i = 0; i < Math.max(1, ahead); i++) begin()
    for (;;) {
      const next = await begun.shift()
      if (next === undefined) return
      begin()
      yield next.result
    }
  } finally {
    stopped = true
    items.return?.().catch(() => undefined)
  }
}

/** Lets only so many at once. */
class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async use<T>(body: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await body()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
