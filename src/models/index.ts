/** Networks by name. Names and parameter paths of published networks are the field's. */
import type { Shape } from '../base/shape.ts'
import type { Architecture } from './architecture.ts'
import { lenet5 } from './lenet5.ts'
import { mobileNetV2 } from './mobilenet-v2.ts'
import { resnet8, resnet18, resnet20 } from './resnet.ts'
import { simpleCnn } from './simple-cnn.ts'

export type { Architecture, ArchitectureOptions } from './architecture.ts'
export { lenet5 } from './lenet5.ts'
export type { MobileNetV2Options } from './mobilenet-v2.ts'
export { mobileNetV2 } from './mobilenet-v2.ts'
export type { CifarResNetOptions, ResNet18Options } from './resnet.ts'
export { resnet8, resnet18, resnet20 } from './resnet.ts'
export { simpleCnn } from './simple-cnn.ts'

/** Architectures that can be asked for by name. */
export const architectures = {
  simpleCnn,
  lenet5,
  resnet8,
  resnet20,
  resnet18,
  mobileNetV2,
} as const satisfies Readonly<Record<string, Architecture>>
export type ArchitectureName = keyof typeof architectures

/** Samples that the architectures were made for: [height, width, channels]. */
export const usualInputs: Readonly<Record<ArchitectureName, Shape>> = {
  simpleCnn: [28, 28, 1],
  lenet5: [28, 28, 1],
  resnet8: [32, 32, 3],
  resnet20: [32, 32, 3],
  resnet18: [224, 224, 3],
  mobileNetV2: [224, 224, 3],
}
