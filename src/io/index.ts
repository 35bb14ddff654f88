export type { LoadedModel, ModelContents, ModelInfo } from './model-folder.ts'
export {
  claimModelFolder,
  clearModelFolder,
  loadModel,
  nextRunFolder,
  saveModel,
  saveUnfinishedRun,
  writeHistory,
} from './model-folder.ts'
export type { SafetensorsArray, SafetensorsDType, SafetensorsFile, SafetensorsTensor } from './safetensors.ts'
export { readSafetensors, toFloat32, writeSafetensors } from './safetensors.ts'
