/** What threads that read picture files are asked and answer; see picture-worker.ts. */

/** Work by its name: what is given, what comes back. */
export interface PictureJobs {
  readonly list: { readonly input: { readonly path: string }; readonly output: FolderListing }
  /** Size and form of a picture without decoding it. */
  readonly header: { readonly input: { readonly path: string }; readonly output: PictureHeader }
  /** SHA-256 over the file in hexadecimal. */
  readonly digest: { readonly input: { readonly path: string }; readonly output: string }
  /** The picture decoded, its middle resized: bytes, [height, width, channels]. */
  readonly sample: {
    readonly input: {
      readonly path: string
      readonly height: number
      readonly width: number
      readonly channels: number
    }
    readonly output: Uint8Array
  }
}

export type PictureJob = keyof PictureJobs

export interface FolderListing {
  /** The same for every path that leads to this folder. */
  readonly identity: string
  /** Sorted by code unit. Links are followed; what is neither file nor folder, or a link to nothing, is `other`. */
  readonly entries: readonly { readonly name: string; readonly kind: 'file' | 'folder' | 'other' }[]
}

export interface PictureHeader {
  /** Of the file. */
  readonly bytes: number
  /** Of the picture, upright. */
  readonly height: number
  readonly width: number
  /** Stored without colour. */
  readonly grey: boolean
  /** Equal for files with equal first 64 KiB. */
  readonly startDigest: string
  /** There is no more than these. */
  readonly startIsAll: boolean
}

/**
 * Why a job failed: `missing` (there is no such file or folder), `closed` (it is there and cannot be opened or read),
 * `damaged` (it is no picture, or not a whole one), `fault` (something else: a mistake of ours).
 */
export interface PictureFailure {
  readonly kind: 'missing' | 'closed' | 'damaged' | 'fault'
  readonly reason: string
  /** First bytes of a file that is no picture at all. */
  readonly start?: Uint8Array
}

/** What is posted to the worker, and what it answers. */
export interface PictureQuestion<Job extends PictureJob = PictureJob> {
  readonly id: number
  readonly job: Job
  readonly input: PictureJobs[Job]['input']
}

export interface PictureAnswer {
  readonly id: number
  readonly output?: PictureJobs[PictureJob]['output']
  readonly failure?: PictureFailure
}
