export type { Checkpoint, CheckpointTensor } from './checkpoint.ts'
export { bestFile, checkpointFolder, readCheckpoint, stepFile, writeCheckpoint } from './checkpoint.ts'
export type { ImportedModel, ImportReport } from './imported-model.ts'
export { Field } from './json-fields.ts'
export type { KerasOptions } from './keras/import.ts'
export { importKeras, openKerasWeights } from './keras/import.ts'
export type { LoadedModel, ModelContents, ModelInfo } from './model-folder.ts'
export {
  claimModelFolder,
  clearModelFolder,
  hasCheckpoint,
  loadModel,
  nextRunFolder,
  saveModel,
  writeData,
  writeHistory,
} from './model-folder.ts'
export type { ExportStep as OnnxExportStep, OnnxExporter } from './onnx/export/exporter.ts'
export type { OnnxGraph, Value as OnnxValue } from './onnx/export/graph.ts'
export type { Preprocessing as OnnxPreprocessing } from './onnx/export/preprocessing.ts'
export type { OnnxExportOptions, OnnxFileOptions } from './onnx/export.ts'
export { exportOnnx, onnxOpsets, saveOnnx } from './onnx/export.ts'
export type { ImportedOnnx, ImportOnnxOptions } from './onnx/index.ts'
export { importOnnx, onnxOperators } from './onnx/index.ts'
export type { ModelFormat, NetworkForWeights, OpenedModel, OpenModelOptions } from './open-model.ts'
export { modelFormat, openModel } from './open-model.ts'
export type { SafetensorsArray, SafetensorsDType, SafetensorsFile, SafetensorsTensor } from './safetensors.ts'
export { readSafetensors, toFloat32, writeSafetensors } from './safetensors.ts'
export type { TfjsFiles, TfjsOptions } from './tfjs/import.ts'
export { importTfjs } from './tfjs/import.ts'
export type { LoadWeightsOptions, WeightsReport } from './weights/load.ts'
export { loadWeights, showWeightsReport } from './weights/load.ts'
export { openWeights } from './weights/open.ts'
export type { RenameRule } from './weights/rename.ts'
export type { StoredDType, StoredTensor, WeightLayout, WeightsFile } from './weights/source.ts'
export { weightsInMemory } from './weights/source.ts'
export type { CopyWeightsOptions, WriteWeightsOptions } from './weights/write.ts'
export { copyWeights, encodeWeights, writeWeights } from './weights/write.ts'
