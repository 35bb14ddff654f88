/** What the page and the worker say to each other. */

export interface StartMessage {
  readonly pictures: number
  readonly epochs: number
}

/** The page stops a training by ending the worker: nothing has to be asked for. */
export type WorkerMessage =
  | { readonly kind: 'start'; readonly backend: string; readonly threads: number }
  | { readonly kind: 'step'; readonly done: number; readonly total: number; readonly loss: number }
  | { readonly kind: 'epoch'; readonly epoch: number; readonly accuracy: number }
  | { readonly kind: 'end'; readonly accuracy: number; readonly seconds: number; readonly shown: readonly Shown[] }
  | { readonly kind: 'error'; readonly message: string }

/** A test picture with what the model says of it. */
export interface Shown {
  /** 28 × 28 grey values. */
  readonly pixels: Uint8Array
  readonly label: number
  readonly predicted: number
}
