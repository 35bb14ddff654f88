/** Third stage: where temporary buffers lie in the arena. Buffers whose lives do not meet share addresses. */

export interface Lifetime {
  readonly bytes: number
  /** First and last call that touches the buffer. */
  readonly first: number
  readonly last: number
}

const alignment = 64

/** Byte offsets for the buffers, largest first at the lowest free place, and the bytes of the whole. */
export function layOut(lifetimes: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0)
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || a - b)
  const placed: { offset: number; end: number; first: number; last: number }[] = []
  let total = 0
  for (const i of order) {
    const { bytes, first, last } = lifetimes[i]
    const size = Math.ceil((bytes + 1) / alignment) * alignment
    let offset = 0
    // `placed` is sorted by offset: the first gap between neighbours in time that is wide enough.
    for (const other of placed) {
      if (other.last < first || other.first > last) continue
      if (other.offset - offset >= size) break
      offset = Math.max(offset, other.end)
    }
    offsets[i] = offset
    const entry = { offset, end: offset + size, first, last }
    const at = placed.findIndex((other) => other.offset > offset)
    placed.splice(at < 0 ? placed.length : at, 0, entry)
    total = Math.max(total, entry.end)
  }
  return { offsets, bytes: total }
}

/**
 * Gives buffers that may lie in one place a common life: `to` begins in the calls in which `from` ends. A buffer is
 * overwritten by one other at most.
 * @param lives one a buffer; those of both are replaced by one
 */
export function shareMemory<B>(
  lives: Map<B, Lifetime>,
  overwrites: readonly { readonly from: B; readonly to: B; readonly first: number; readonly last: number }[],
): Map<B, B> {
  const homes = new Map<B, B>()
  const home = (buffer: B): B => {
    let at = buffer
    for (let next = homes.get(at); next !== undefined; next = homes.get(at)) at = next
    return at
  }
  for (const { from, to, first, last } of overwrites) {
    const old = lives.get(home(from))
    const fresh = lives.get(to)
    if (old === undefined || fresh === undefined || homes.has(to)) continue
    if (old.bytes !== fresh.bytes || old.last < first || old.last > last || fresh.first < first) continue
    lives.set(home(from), { ...old, last: fresh.last })
    lives.delete(to)
    homes.set(to, home(from))
  }
  return new Map([...homes.keys()].map((buffer) => [buffer, home(buffer)]))
}

/** The most bytes that live at one time: no layout takes less. */
export function mostLive(lifetimes: readonly Lifetime[]): number {
  const changes = new Map<number, number>()
  for (const { bytes, first, last } of lifetimes) {
    const size = Math.ceil((bytes + 1) / alignment) * alignment
    changes.set(first, (changes.get(first) ?? 0) + size)
    changes.set(last + 1, (changes.get(last + 1) ?? 0) - size)
  }
  let live = 0
  let most = 0
  for (const at of [...changes.keys()].sort((a, b) => a - b)) {
    live += changes.get(at) as number
    most = Math.max(most, live)
  }
  return most
}
