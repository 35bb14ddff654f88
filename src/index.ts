/** The public API. Every name is listed, so that what is public is decided here and seen in the diff. */

export type { DType, TypedArray } from './base/dtype.ts'
export type { Problem } from './base/errors.ts'
// Errors.
export { ConfigError, DTypeError, FormatError, JuanjiError, ShapeError, UnsupportedError } from './base/errors.ts'
export type { Shape } from './base/shape.ts'
export { version } from './base/version.ts'
export type {
  Batch,
  BatchOptions,
  Crop,
  Dataset,
  DigitsDataOptions,
  FolderProgress,
  FolderWorkOptions,
  ImageFolderFacts,
  ImageFolderRecord,
  ImageFolderScan,
  MapOptions,
  MnistOptions,
  OpenImageFolder,
  OpenImageFolderOptions,
  Picture,
  PictureOptions,
  ReplacedFile,
  ResizeFilter,
  Sample,
  TrainTest,
  UnreadableFile,
} from './data/index.ts'
// Training.
export {
  arrayDataset,
  concatDatasets,
  datasets,
  generateDigits,
  makeDataset,
  mapDataset,
  pictureToSample,
  readIdx,
  resizeImage,
  scanImageFolder,
  shuffleDataset,
  split,
  subset,
} from './data/index.ts'
export type { ConvolutionStep, ExplainedConvolution, ExplainOptions, Summary } from './inspect/index.ts'
// Looking inside.
export { explainConvolution, printConvolution, summarize } from './inspect/index.ts'
export type {
  LoadedModel,
  ModelContents,
  ModelInfo,
  SafetensorsArray,
  SafetensorsDType,
  SafetensorsFile,
  SafetensorsTensor,
} from './io/index.ts'
// Files.
export {
  claimModelFolder,
  clearModelFolder,
  loadModel,
  nextRunFolder,
  readSafetensors,
  saveModel,
  saveUnfinishedRun,
  toFloat32,
  writeHistory,
  writeSafetensors,
} from './io/index.ts'
export * as models from './models/index.ts'
// Networks.
export * as nn from './nn/index.ts'
export type { InitOptions, Model } from './nn/model.ts'
export { describe, init } from './nn/model.ts'
export * as optim from './optim/index.ts'
export type {
  BackendName,
  CompiledFunction,
  Conv1dOptions,
  Conv2dOptions,
  CrossEntropyOptions,
  DeviceOptions,
  Nested,
  PoolOptions,
  TensorLike,
  Tree,
  ValueAndGradients,
} from './tensor/index.ts'
// Tensors.
export {
  avgPool,
  batchNorm,
  batchNormInference,
  compile,
  concat,
  conv1d,
  conv2d,
  createDevice,
  crossEntropy,
  describeDevice,
  dropout,
  elu,
  erf,
  exp,
  expm1,
  gelu,
  groupNorm,
  hardSigmoid,
  hardSwish,
  hostScalar,
  l1Loss,
  layerNorm,
  leakyRelu,
  log,
  logSoftmax,
  logsumexp,
  matmul,
  maxPool,
  mseLoss,
  oneHot,
  Parameter,
  pad,
  realize,
  relu,
  State,
  sigmoid,
  silu,
  slice,
  softmax,
  softplus,
  sqrt,
  stopGradient,
  Tensor,
  take,
  tanh,
  tensor,
  useDevice,
  valueAndGrad,
  where,
} from './tensor/index.ts'
export type {
  EndEvent,
  EpochEvent,
  EvaluateOptions,
  Evaluation,
  FitOptions,
  Loss,
  LrSchedule,
  Prediction,
  Run,
  StartEvent,
  StepEvent,
  TrainEvent,
} from './train/index.ts'
export { evaluate, fit, lrSchedules, predict } from './train/index.ts'
