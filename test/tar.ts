/** Writes tar archives for tests. */

export interface TarFile {
  readonly name: string
  readonly data?: Uint8Array
  /** Kind of the entry: '0' a file, '5' a folder, 'x' an extended header; default '0'. */
  readonly type?: string
  /** First part of a long path. */
  readonly prefix?: string
  readonly magic?: string
}

/** An archive with its end. */
export function makeTar(files: readonly TarFile[]): Uint8Array {
  return Buffer.concat([...files.map(entry), Buffer.alloc(1024)])
}

function entry({ name, data = new Uint8Array(), type = '0', prefix = '', magic = 'ustar\x0000' }: TarFile): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 7), 100)
  header.write(octal(data.length, 11), 124)
  header.write(octal(0, 11), 136)
  header.write(' '.repeat(8), 148)
  header.write(type, 156)
  header.write(magic, 257)
  header.write(prefix, 345)
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    ),
    148,
  )
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)])
}
