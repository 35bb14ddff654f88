export type { TrainControl } from './control.ts'
export { trainControl } from './control.ts'
export type { EvaluateOptions, Evaluation, Loss, Prediction } from './evaluate.ts'
export { evaluate, predict } from './evaluate.ts'
export type {
  CheckpointEvent,
  CheckpointReason,
  EndEvent,
  EpochEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
  ValidationEvent,
  WarningEvent,
} from './events.ts'
export type { Run } from './fit.ts'
export { fit } from './fit.ts'
export type { LrSchedule, LrScheduleName, OneCycleOptions, StepScheduleOptions } from './lr-schedule.ts'
export { lrScheduleNames, lrSchedules } from './lr-schedule.ts'
export type { ClassMetrics, Metrics } from './metrics.ts'
export type { CheckpointOptions, EarlyStopping, FitOptions } from './options.ts'
export type { DataFacts, Recipe, RecipeChoices } from './recipe.ts'
export { chooseRecipe, describeAugment } from './recipe.ts'
