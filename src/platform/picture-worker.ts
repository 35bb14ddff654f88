/** Reads picture files in worker threads of Node. */
import type * as Crypto from 'node:crypto'
import type * as Fs from 'node:fs'
import type Sharp from 'sharp'
import type { FolderListing, PictureFailure, PictureHeader } from './pictures.ts'

/** What the reader needs, given to it because its text knows no imports. */
export interface PicturePackages {
  readonly sharp: typeof Sharp
  readonly decode: typeof decodePicture
  readonly fs: typeof Fs
  readonly crypto: typeof Crypto
  /** From a decoded picture to a sample. */
  toSample(picture: DecodedPixels, height: number, width: number, channels: number): Uint8Array
}

/** 8-bit sRGB, upright; a fourth channel is alpha. */
export interface DecodedPixels {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly data: Uint8Array
}

export interface PictureReader {
  list(input: { readonly path: string }): FolderListing
  header(input: { readonly path: string }): Promise<PictureHeader>
  digest(input: { readonly path: string }): string
  sample(input: {
    readonly path: string
    readonly height: number
    readonly width: number
    readonly channels: number
  }): Promise<Uint8Array>
  failureOf(error: unknown): PictureFailure
}

/** Decodes as every picture is decoded here. Its text goes to workers, too. */
export async function decodePicture(sharp: typeof Sharp, bytes: Uint8Array): Promise<DecodedPixels> {
  const { data, info } = await sharp(bytes, { failOn: 'error', ignoreIcc: true })
    .autoOrient()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, channels: info.channels, data }
}

/**
 * Makes the functions that read pictures. Every name they need is inside or in `packages`, and all are methods, which
 * no bundler wraps in helpers of its own: the text of this function is the program of a worker. Files are read with
 * calls that wait, since nothing else happens in the worker; decoding runs in a thread of libuv.
 */
export function makePictureReader({ sharp, decode, fs, crypto, toSample }: PicturePackages): PictureReader {
  /** Formats that hold photographs; sharp also draws SVG and PDF, which are not meant by a folder of pictures. */
  const formats = ['jpeg', 'png', 'webp', 'gif', 'heif', 'tiff', 'jp2', 'jxl', 'bmp']
  const startBytes = 65_536
  /** sharp refuses to decode more. */
  const mostPixels = 0x3fff * 0x3fff
  const mostBytes = 2 ** 30

  const reader = {
    list({ path }: { path: string }) {
      const { dev, ino } = fs.statSync(path, { bigint: true })
      const entries = fs.readdirSync(path, { withFileTypes: true }).map((entry) => {
        const stat = entry.isSymbolicLink() ? fs.statSync(`${path}/${entry.name}`, { throwIfNoEntry: false }) : entry
        const kind = stat?.isDirectory() ? 'folder' : stat?.isFile() ? 'file' : 'other'
        return { name: entry.name, kind: kind as 'file' | 'folder' | 'other' }
      })
      return { identity: `${dev} ${ino}`, entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)) }
    },

    async header({ path }: { path: string }) {
      const { bytes, start } = reader.start(path)
      if (bytes === 0) throw reader.damaged('an empty file')
      if (bytes > mostBytes) throw reader.damaged('larger than 1 GiB')
      const { format, compression, space, channels, autoOrient } = await reader.metadata(path, bytes, start)
      if (compression === 'hevc' && !sharp.format.heif.input.fileSuffix?.includes('.heic')) {
        throw reader.damaged('a HEIC picture, which cannot be decoded here: save it as JPEG')
      }
      if (!formats.includes(format)) throw reader.damaged(`a picture in the format ${format}, which is no photograph`)
      const { width, height } = autoOrient
      if (width * height > mostPixels) throw reader.damaged(`${width} x ${height} pixels, too many to decode`)
      return {
        bytes,
        height,
        width,
        grey: channels < 3 || space === 'b-w' || space === 'grey16',
        startDigest: crypto.createHash('sha256').update(start).digest('base64').slice(0, 22),
        startIsAll: start.length === bytes,
      }
    },

    /** A file's length and its first bytes. */
    start(path: string) {
      const file = fs.openSync(path, 'r')
      try {
        const bytes = fs.fstatSync(file).size
        const start = new Uint8Array(Math.min(bytes, startBytes))
        const read = fs.readSync(file, start, 0, start.length, 0)
        return { bytes, start: start.subarray(0, read) }
      } finally {
        fs.closeSync(file)
      }
    },

    async metadata(path: string, bytes: number, start: Uint8Array) {
      try {
        return await sharp(start, { failOn: 'none' }).metadata()
      } catch (error) {
        // TIFF and WebP are known from the whole file alone, and a JPEG may begin with a thumbnail: all three are told
        // by their first byte (RIFF, II or MM, FF).
        const whole = start.length < bytes && [0x52, 0x49, 0x4d, 0xff].includes(start[0])
        if (!whole) throw reader.undecodable(error as Error, start, 'its header is damaged')
        return await sharp(fs.readFileSync(path), { failOn: 'none' })
          .metadata()
          .catch((error: Error) => {
            throw reader.undecodable(error, start, 'its header is damaged')
          })
      }
    },

    digest({ path }: { path: string }) {
      const hash = crypto.createHash('sha256')
      const piece = new Uint8Array(1 << 20)
      const file = fs.openSync(path, 'r')
      try {
        for (;;) {
          const read = fs.readSync(file, piece, 0, piece.length, null)
          if (read === 0) return hash.digest('hex')
          hash.update(piece.subarray(0, read))
        }
      } finally {
        fs.closeSync(file)
      }
    },

    async sample({ path, height, width, channels }: { path: string; height: number; width: number; channels: number }) {
      const bytes = fs.readFileSync(path)
      const picture = await decode(sharp, bytes).catch((error: Error) => {
        throw reader.undecodable(error, bytes, 'it cannot be decoded: damaged or cut short')
      })
      return toSample(picture, height, width, channels)
    },

    damaged(reason: string, start?: Uint8Array) {
      // A copy: to post a view is to post all that it is a view of.
      const failure: PictureFailure = { kind: 'damaged', reason, start: start && Uint8Array.from(start.subarray(0, 8)) }
      return Object.assign(new Error(reason), { failure })
    },

    /** Of what sharp threw. Beyond its own texts it tells what libvips noted, for whichever picture, at the time. */
    undecodable({ message }: Error, start: Uint8Array, otherwise: string) {
      const unknown = message.includes('unsupported image format')
      return unknown ? reader.damaged('no picture', start) : reader.damaged(otherwise)
    },

    failureOf(error: unknown): PictureFailure {
      const { failure, code, message } = error as { failure?: PictureFailure; code?: string; message?: string }
      if (failure !== undefined) return failure
      if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing', reason: 'there is no such file' }
      if (code === 'EACCES' || code === 'EPERM') return { kind: 'closed', reason: 'permission denied' }
      if (/^E[A-Z]+$/.test(code ?? '')) return { kind: 'closed', reason: String(message) }
      return { kind: 'fault', reason: String(message ?? error) }
    },
  }
  return reader
}

/**
 * The script of a worker that reads pictures, for `createWorker`.
 * @param sharpAddress where sharp lies: a script without a file of its own cannot look for packages
 * @param resampler the text of a function that makes `{ toSample }`
 */
export function pictureWorkerSource(sharpAddress: string, resampler: string): string {
  return `'use strict'
const starting = import(${JSON.stringify(sharpAddress)}).then(({ default: sharp }) => (${makePictureReader})({
  sharp,
  decode: ${decodePicture},
  fs: process.getBuiltinModule('node:fs'),
  crypto: process.getBuiltinModule('node:crypto'),
  toSample: (${resampler})().toSample,
}))
self.onmessage = async ({ data: { id, job, input } }) => {
  const reader = await starting
  try {
    const output = await reader[job](input)
    self.postMessage({ id, output }, output instanceof Uint8Array ? [output.buffer] : [])
  } catch (error) {
    self.postMessage({ id, failure: reader.failureOf(error) })
  }
}`
}
