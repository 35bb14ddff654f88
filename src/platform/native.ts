/** What machine code made at run time needs of the place: a compiler, a folder for its output, calls into it. */

/** A function of a shared library. Pointers are numbers; typed arrays are handed over by address. */
export interface NativeFunction {
  (...args: readonly unknown[]): unknown
  /** The same on a thread of its own: the event loop goes on. */
  async(...args: readonly unknown[]): Promise<unknown>
}

export interface Compiler {
  readonly path: string
  /** Changes when the compiler at this path does. */
  readonly identity: string
}

export interface CompilerOutcome {
  /** Undefined when it succeeded; otherwise what it said, or why it was stopped. */
  readonly failure: string | undefined
}

/** Shared libraries by the hash of what they were made from. */
export interface LibraryCache {
  readonly folder: string
  /** Why the libraries of this process are not kept for the next one; undefined where they are. */
  readonly notice: string | undefined
  /** The path of a library that is as it was when it was stored; anything else is removed and not found. */
  find(key: string): Promise<string | undefined>
  /** Has a library made at a path beside its place, then moves it there. */
  add(key: string, make: (path: string) => Promise<void>): Promise<string>
}

export interface NativeTools {
  /** `linux x64`, part of every key. */
  readonly machine: string
  /** The compiler that `CC`-like settings name or that the search path has. */
  findCompiler(names: readonly string[]): Promise<Compiler | undefined>
  /** Runs it on a source given by standard input. */
  compile(compiler: Compiler, args: readonly string[], source: string, timeoutMs: number): Promise<CompilerOutcome>
  /** @throws UnsupportedError when neither this folder nor a temporary one can be used */
  openLibraryCache(folder: string): Promise<LibraryCache>
  /** @param signatures C prototypes */
  loadLibrary<K extends string>(path: string, signatures: Readonly<Record<K, string>>): Record<K, NativeFunction>
  /** SHA-256 in hexadecimal. */
  hash(text: string): string
  /** Bytes the process may still take; undefined where nothing tells. */
  availableMemory(): number | undefined
}
