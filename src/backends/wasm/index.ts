export { detectFeatures } from './features.ts'
export type { Feature, WasmFeatures } from './features.ts'
export { createWasmBackend } from './wasm-backend.ts'
export type { WasmOptions } from './wasm-backend.ts'
