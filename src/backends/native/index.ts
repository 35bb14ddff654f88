export { createNativeBackend, type NativeBackend, type NativeOptions } from './native-backend.ts'
export type { NativeInstructions } from './target.ts'
