/** Networks by name. Names and parameter paths of published networks are the field's. */
import type { Shape } from '../base/shape.ts'
import type * as nn from '../nn/index.ts'
import type { Architecture } from './architecture.ts'
import { darknetTiny } from './darknet.ts'
import { lenet5 } from './lenet5.ts'
import { mlperfResnet8 } from './mlperf-resnet8.ts'
import { mobileNetV1 } from './mobilenet-v1.ts'
import { mobileNetV2 } from './mobilenet-v2.ts'
import { resnet18, resnet34, resnet50 } from './resnet.ts'
import { type CifarResNetOptions, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110 } from './resnet-cifar.ts'
import { simpleCnn } from './simple-cnn.ts'
import { squeezeNet } from './squeezenet.ts'

export type { Architecture, ArchitectureOptions } from './architecture.ts'
export { darknetTiny } from './darknet.ts'
export type { Head, ReplaceHeadOptions } from './head.ts'
export { features, head, replaceHead } from './head.ts'
export { lenet5 } from './lenet5.ts'
export { mlperfResnet8 } from './mlperf-resnet8.ts'
export type { MobileNetV1Options } from './mobilenet-v1.ts'
export { mobileNetV1 } from './mobilenet-v1.ts'
export type { MobileNetV2Options } from './mobilenet-v2.ts'
export { mobileNetV2 } from './mobilenet-v2.ts'
export type { PublishedWeights } from './published.ts'
export { published } from './published.ts'
export type { ResNetOptions } from './resnet.ts'
export { resnet18, resnet34, resnet50 } from './resnet.ts'
export type { CifarResNetOptions, SmallResNetOptions } from './resnet-cifar.ts'
export { resnet8, resnet20, resnet32, resnet44, resnet56, resnet110 } from './resnet-cifar.ts'
export { simpleCnn } from './simple-cnn.ts'
export { squeezeNet } from './squeezenet.ts'
export type { PathPattern, Stage } from './stages.ts'
export { parametersOf, stages } from './stages.ts'

/** With projections, option B, instead of zeros: `resnet20({ shortcut: 'projection' })`. */
const withProjections =
  (network: (options: CifarResNetOptions) => nn.Layer): Architecture =>
  (options = {}) =>
    network({ ...options, shortcut: 'projection' })

/** Architectures that can be asked for by name. */
export const architectures = {
  simpleCnn,
  lenet5,
  resnet8,
  resnet20,
  resnet32,
  resnet44,
  resnet56,
  resnet110,
  resnet20B: withProjections(resnet20),
  resnet32B: withProjections(resnet32),
  resnet44B: withProjections(resnet44),
  resnet56B: withProjections(resnet56),
  resnet110B: withProjections(resnet110),
  resnet18,
  resnet34,
  resnet50,
  mobileNetV1,
  mobileNetV2,
  squeezeNet,
  darknetTiny,
  mlperfResnet8,
} as const satisfies Readonly<Record<string, Architecture>>
export type ArchitectureName = keyof typeof architectures

/** Samples that the architectures were made for: [height, width, channels]. */
export const usualInputs: Readonly<Record<ArchitectureName, Shape>> = {
  simpleCnn: [28, 28, 1],
  lenet5: [28, 28, 1],
  resnet8: [32, 32, 3],
  resnet20: [32, 32, 3],
  resnet32: [32, 32, 3],
  resnet44: [32, 32, 3],
  resnet56: [32, 32, 3],
  resnet110: [32, 32, 3],
  resnet20B: [32, 32, 3],
  resnet32B: [32, 32, 3],
  resnet44B: [32, 32, 3],
  resnet56B: [32, 32, 3],
  resnet110B: [32, 32, 3],
  resnet18: [224, 224, 3],
  resnet34: [224, 224, 3],
  resnet50: [224, 224, 3],
  mobileNetV1: [96, 96, 3],
  mobileNetV2: [224, 224, 3],
  squeezeNet: [224, 224, 3],
  darknetTiny: [224, 224, 3],
  mlperfResnet8: [32, 32, 3],
}
