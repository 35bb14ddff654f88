export type { Feature, WasmFeatures } from './features.ts'
export { detectFeatures } from './features.ts'
export type { WasmOptions } from './wasm-backend.ts'
export { createWasmBackend } from './wasm-backend.ts'
