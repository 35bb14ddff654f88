/** A zip archive for tests. */
import { crc32 } from '../io/zip.ts'

export interface ZipInput {
  readonly name: string
  readonly bytes: Uint8Array
  /** The same packed by a method; default: stored. */
  readonly packed?: { readonly method: number; readonly bytes: Uint8Array }
  readonly flags?: number
  /** Bytes of padding in front of the data, as PyTorch aligns them. */
  readonly padding?: number
}

/** @param options wide: sizes and offsets of 64 bits everywhere */
export function writeZip(entries: readonly ZipInput[], options: { readonly wide?: boolean } = {}): Uint8Array {
  const { wide = false } = options
  const out: number[] = []
  const put = (width: number, ...values: readonly number[]) => {
    for (const value of values) {
      for (let i = 0, left = value; i < width; i++, left = Math.floor(left / 256)) out.push(left % 256)
    }
  }
  const narrow = (value: number) => (wide ? 0xffff_ffff : value)
  const offsets: number[] = []
  for (const { name, bytes, packed, flags = 0x800, padding = 0 } of entries) {
    const text = new TextEncoder().encode(name)
    const data = packed?.bytes ?? bytes
    offsets.push(out.length)
    put(4, 0x04034b50)
    put(2, 45, flags, packed?.method ?? 0, 0, 0)
    put(4, crc32(bytes), data.length, bytes.length)
    put(2, text.length, padding)
    out.push(...text)
    for (let i = 0; i < padding; i++) out.push(0)
    for (const byte of data) out.push(byte)
  }
  const directory = out.length
  entries.forEach(({ name, bytes, packed, flags = 0x800 }, i) => {
    const text = new TextEncoder().encode(name)
    put(4, 0x02014b50)
    put(2, 45, 45, flags, packed?.method ?? 0, 0, 0)
    put(4, crc32(bytes), narrow((packed?.bytes ?? bytes).length), narrow(bytes.length))
    put(2, text.length, wide ? 32 : 0, 0, 0, 0)
    put(4, 0, narrow(offsets[i]))
    out.push(...text)
    if (wide) {
      put(2, 0x7777, 0, 1, 24)
      put(8, bytes.length, (packed?.bytes ?? bytes).length, offsets[i])
    }
  })
  const end = out.length
  if (wide) {
    put(4, 0x06064b50)
    put(8, 44)
    put(2, 45, 45)
    put(4, 0, 0)
    put(8, entries.length, entries.length, end - directory, directory)
    put(4, 0x07064b50, 0)
    put(8, end)
    put(4, 1)
  }
  put(4, 0x06054b50)
  put(2, 0, 0, ...(wide ? [0xffff, 0xffff] : [entries.length, entries.length]))
  put(4, narrow(end - directory), narrow(directory))
  put(2, 0)
  return Uint8Array.from(out)
}
