/** Threads that read and decode picture files, so that the caller's own has nothing to do with it. */
import {
  environment,
  hardwareThreads,
  type PictureAnswer,
  type PictureFailure,
  type PictureJob,
  type PictureJobs,
  startPictureWorker,
} from '#platform'
import { showStart } from '../base/bytes.ts'
import { ConfigError } from '../base/errors.ts'
import { makeResampler } from './resample.ts'

/** Why a file could not be read or decoded. */
export class PictureProblem extends Error {
  readonly kind: 'missing' | 'closed' | 'damaged'

  constructor(kind: PictureProblem['kind'], { reason, start }: PictureFailure) {
    super(start === undefined ? reason : `${reason}: it begins with ${showStart(start)}`)
    this.name = 'PictureProblem'
    this.kind = kind
  }
}

/** Jobs a thread has at a time: one is resized in the thread while libuv decodes the other. */
const jobsPerThread = 2

/** Pixels that are being decoded at a time, but for one picture that alone has more: 64 Mi are 192 MiB. */
const mostPixels = 2 ** 26

type Worker = Awaited<ReturnType<typeof startPictureWorker>>

interface Thread {
  readonly worker: Worker
  jobs: number
}

interface Waiting {
  readonly job: PictureJob
  readonly input: PictureJobs[PictureJob]['input']
  readonly pixels: number
  readonly resolve: (output: never) => void
  readonly reject: (error: Error) => void
}

/** How many threads decode: more than libuv has for the decoding itself (4 unless told otherwise) would wait for it. */
function defaultThreads(): number {
  const libuv = Number(environment('UV_THREADPOOL_SIZE')) || 4
  return Math.min(hardwareThreads(), libuv)
}

/**
 * Starts the threads.
 * @throws UnsupportedError in a page, and where sharp is not installed
 */
export async function startPicturePool(threads = defaultThreads()): Promise<PicturePool> {
  const resampler = String(makeResampler)
  const names = Array.from({ length: threads }, (_, i) => `juanji pictures ${i}`)
  return new PicturePool(await Promise.all(names.map((name) => startPictureWorker(resampler, name))))
}

export class PicturePool {
  readonly #threads: readonly Thread[]
  readonly #queue: Waiting[] = []
  readonly #running = new Map<number, Waiting & { readonly thread: Thread }>()
  #first = 0 // of the queue
  #next = 0
  #pixels = 0
  #end: Error | undefined

  constructor(workers: readonly Worker[]) {
    this.#threads = workers.map((worker) => ({ worker, jobs: 0 }))
    for (const thread of this.#threads) {
      thread.worker.onMessage((message) => this.#answered(message as PictureAnswer))
      thread.worker.onError((error) => void this.#stop(error))
    }
  }

  /** Jobs worth giving at a time by one who has many: enough to keep every thread busy. */
  get width(): number {
    return 2 * jobsPerThread * this.#threads.length
  }

  /**
   * Has a job done; first come, first served.
   * @param pixels of the picture that will be decoded, when known
   * @throws PictureProblem when the file is not there, not to be opened or not a whole picture
   */
  ask<Job extends PictureJob>(
    job: Job,
    input: PictureJobs[Job]['input'],
    pixels = 0,
  ): Promise<PictureJobs[Job]['output']> {
    if (this.#end !== undefined) return Promise.reject(this.#end)
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, input, pixels, resolve: resolve as (output: never) => void, reject })
      this.#dispatch()
    })
  }

  /** Ends the threads; what is still waited for is rejected. */
  async close(): Promise<void> {
    await this.#stop(
      new ConfigError({
        where: 'image folder',
        what: 'it is closed',
        expected: 'an open one: samples are decoded when they are asked for',
        fix: 'close it when all work on its data sets is done',
      }),
    )
  }

  #dispatch(): void {
    while (this.#first < this.#queue.length) {
      const waiting = this.#queue[this.#first]
      const thread = this.#threads.reduce((least, other) => (other.jobs < least.jobs ? other : least))
      if (thread.jobs >= jobsPerThread) return
      if (this.#pixels > 0 && this.#pixels + waiting.pixels > mostPixels) return
      if (++this.#first > 1000) {
        this.#queue.splice(0, this.#first)
        this.#first = 0
      }
      const id = this.#next++
      this.#running.set(id, { ...waiting, thread })
      this.#pixels += waiting.pixels
      if (thread.jobs++ === 0) thread.worker.ref()
      thread.worker.post({ id, job: waiting.job, input: waiting.input })
    }
  }

  #answered({ id, output, failure }: PictureAnswer): void {
    const done = this.#running.get(id)
    if (done === undefined) return
    this.#running.delete(id)
    this.#pixels -= done.pixels
    if (--done.thread.jobs === 0) done.thread.worker.unref()
    if (failure === undefined) done.resolve(output as never)
    else if (failure.kind === 'fault') done.reject(new Error(`reading a picture failed: ${failure.reason}`))
    else done.reject(new PictureProblem(failure.kind, failure))
    this.#dispatch()
  }

  async #stop(error: Error): Promise<void> {
    if (this.#end !== undefined) return
    this.#end = error
    for (const { reject } of [...this.#running.values(), ...this.#queue.slice(this.#first)]) reject(error)
    this.#running.clear()
    this.#queue.length = 0
    this.#first = 0
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }
}
