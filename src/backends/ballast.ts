/** Tells the collector what dropping a block of a backend's memory is worth. */

const smallest = 65536

/**
 * As many bytes that nobody ever touches, so they take no memory. Without them the collector would not look for dropped
 * models before memory runs out.
 *
 * A resizable buffer gets fresh pages, which take no memory until they are touched. A plain one may get pages that were
 * used before and have to be cleared: resident, and 0.4 ms for 8 MB.
 */
export function makeBallast(bytes: number): ArrayBuffer | undefined {
  const Buffer: new (length: number, options: { maxByteLength: number }) => ArrayBuffer = ArrayBuffer
  try {
    return bytes < smallest ? new ArrayBuffer(bytes) : new Buffer(bytes, { maxByteLength: bytes })
  } catch {
    return undefined // No address space for it: the block itself is fine.
  }
}
