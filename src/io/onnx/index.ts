export type { ImportedOnnx, ImportOnnxOptions } from './import.ts'
export { importOnnx } from './import.ts'
export { onnxOperators } from './operators/index.ts'
