/** HDF5 files for tests, written by the format's own library. */
import h5wasm, { type Dataset, type Group } from 'h5wasm'

export interface DatasetToWrite {
  readonly shape: readonly number[]
  readonly data: ArrayLike<number> | readonly string[]
  /** As h5wasm spells it: `<f`, `<d`, `<q`, `<B`, …; default `<f`. */
  readonly dtype?: string
  readonly chunks?: readonly number[]
  readonly gzip?: boolean
  readonly attributes?: Attributes
}

/** A list of texts is written with texts of one length, as Keras does; a single one with any length. */
type Attributes = Readonly<Record<string, string | number | readonly string[]>>

export interface GroupToWrite {
  readonly attributes?: Attributes
  /** Groups and datasets inside. */
  readonly inside?: Readonly<Record<string, GroupToWrite | DatasetToWrite>>
}

export interface WriteOptions {
  readonly libver?: 'earliest' | 'v108' | 'v110' | 'latest'
  readonly trackOrder?: boolean
}

let files = 0

/** The bytes of a file with what a tree says. */
export async function writeHdf5(tree: GroupToWrite, options: WriteOptions = {}): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready
  const path = `/written-${files++}.h5`
  const { libver = 'earliest', trackOrder = false } = options
  const file = new h5wasm.File(path, 'w', { libver: [libver, 'latest'], track_order: trackOrder } as never)
  writeGroup(file, tree, trackOrder)
  file.flush()
  file.close()
  const bytes = FS.readFile(path) as Uint8Array
  FS.unlink(path)
  return bytes.slice()
}

function writeGroup(group: Group, { attributes = {}, inside = {} }: GroupToWrite, trackOrder: boolean): void {
  writeAttributes(group, attributes)
  for (const [name, inner] of Object.entries(inside)) {
    if (!('data' in inner)) {
      writeGroup(group.create_group(name, trackOrder), inner, trackOrder)
      continue
    }
    const { shape, data, dtype = '<f', chunks, gzip, attributes: own = {} } = inner
    const dataset = group.create_dataset({
      name,
      data: (Array.isArray(data) ? data : Array.from(data as ArrayLike<number>)) as never,
      shape: [...shape],
      dtype: dtype as never,
      ...(chunks === undefined ? {} : { chunks: [...chunks] }),
      ...(gzip ? { compression: 'gzip', compression_opts: 6 } : {}),
    })
    writeAttributes(dataset, own)
  }
}

function writeAttributes(to: Group | Dataset, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'string') to.create_attribute(name, value, null, 'S')
    else if (typeof value === 'number') to.create_attribute(name, value)
    else if (value.length === 0) to.create_attribute(name, new Float64Array(0) as never, [0], '<d' as never)
    else
      to.create_attribute(
        name,
        [...value],
        [value.length],
        `S${Math.max(...value.map((text) => text.length))}` as never,
      )
  }
}
