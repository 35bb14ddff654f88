export type { Checkpoint, CheckpointTensor } from './checkpoint.ts'
export { bestFile, checkpointFolder, readCheckpoint, stepFile, writeCheckpoint } from './checkpoint.ts'
export { Field } from './json-fields.ts'
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
export type { SafetensorsArray, SafetensorsDType, SafetensorsFile, SafetensorsTensor } from './safetensors.ts'
export { readSafetensors, toFloat32, writeSafetensors } from './safetensors.ts'
export { openWeights } from './weights/open.ts'
export type { StoredDType, StoredTensor, WeightLayout, WeightsFile } from './weights/source.ts'
export { weightsInMemory } from './weights/source.ts'
