/** What machine code made at run time needs of the place: a compiler, a folder for its output, calls into it. */

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
  /** Those of these programs that are there: by path, or in the folders of the search path. */
  findCompilers(names: readonly string[]): Promise<Compiler[]>
  /** Runs it on a source given by standard input. */
  compile(compiler: Compiler, args: readonly string[], source: string, timeoutMs: number): Promise<CompilerOutcome>
  /** @throws UnsupportedError when neither this folder nor a temporary one can be used */
  openLibraryCache(folder: string): Promise<LibraryCache>
  /** Loads an addon by Node-API. @returns what it exports */
  loadAddon(path: string): unknown
  /** SHA-256 in hexadecimal. */
  hash(text: string): string
  /** Bytes the process may still take; undefined where nothing tells. */
  availableMemory(): number | undefined
}
