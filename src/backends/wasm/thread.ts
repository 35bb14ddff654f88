/** One worker, as the backend sees it. */
import { createWorker } from '#platform'
import { workerSource } from './worker-source.ts'

export interface Reply {
  readonly id: number
  readonly error?: string
  readonly failed?: boolean
  readonly bytes?: Uint8Array
}

/** One worker, asked and answered by message. */
export class Thread {
  readonly worker: ReturnType<typeof createWorker>
  /** Slots it has instantiated, with the module it has there. */
  readonly known = new Map<number, WebAssembly.Module>()
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>()
  #next = 0
  #failure: Error | undefined

  constructor(name: string) {
    this.worker = createWorker(workerSource, name)
    this.worker.onMessage((message) => {
      const reply = message as Reply
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (this.#waiting.size === 0) this.worker.unref()
      if (reply.error !== undefined) waiting?.reject(new Error(reply.error))
      else waiting?.resolve(reply)
    })
    this.worker.onError((error) => {
      this.#failure = error
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
  }

  /** It threw outside of a message or stopped: it will never answer again. */
  get failed(): boolean {
    return this.#failure !== undefined
  }

  ask(message: object, transfer: readonly ArrayBuffer[] = []): Promise<Reply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.worker.ref()
      this.worker.post({ ...message, id }, transfer)
    })
  }
}
