/** What one has to know of weights that others have published for these networks. */
import type { PictureNormalization } from '../nn/model.ts'

export interface PublishedWeights {
  /** Where they come from: whose names the paths are, or are made of. */
  readonly source: string
  /** What pictures were normalised with: `model.pictures`. Left out where values of 0 … 1 went in as they are. */
  readonly pictures?: PictureNormalization
  /** The path here of what has another name in the published file. Left out where names are paths. */
  readonly rename?: (name: string) => string
}

const imagenet: PictureNormalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const torchvision: PublishedWeights = { source: 'torchvision', pictures: imagenet }
const akamaster: PublishedWeights = { source: "akamaster's pytorch_resnet_cifar10", pictures: imagenet }
const chenyaofo: PublishedWeights = {
  source: "chenyaofo's pytorch-cifar-models",
  pictures: { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
}

const kerasValues: Readonly<Record<string, string>> = {
  kernel: 'weight',
  depthwise_kernel: 'weight',
  gamma: 'weight',
  beta: 'bias',
  moving_mean: 'running_mean',
  moving_variance: 'running_var',
}

/**
 * For files of Keras, which numbers the layers of a kind: `conv2d/kernel:0`, `conv2d_1/kernel:0`, also behind folders of
 * HDF5. Names of values that a reader has turned already are taken too: `conv2d_1.weight`.
 * @param pathOf path of a layer by its kind and number; `conv2d` is number 0
 */
function kerasNames(pathOf: (kind: string, number: number) => string | undefined): (name: string) => string {
  return (name) => {
    const [, kind, number = '0', value] = /(?:^|\/)([a-z0-9_]+?)(?:_(\d+))?[/.]([a-z_]+)(?::0)?$/.exec(name) ?? []
    const path = kind === undefined ? undefined : pathOf(kind, Number(number))
    return path === undefined ? name : `${path}.${kerasValues[value] ?? value}`
  }
}

/** Where the convolutions of {@link mlperfResnet8} and its norms stand, in the order in which Keras made them. */
const mlperfConvolutions = [
  'conv1',
  ...['layer1.0.conv1', 'layer1.0.conv2'],
  ...['layer2.0.conv1', 'layer2.0.conv2', 'layer2.0.downsample'],
  ...['layer3.0.conv1', 'layer3.0.conv2', 'layer3.0.downsample'],
]
const mlperfNorms = ['bn1', ...[1, 2, 3].flatMap((stage) => [`layer${stage}.0.bn1`, `layer${stage}.0.bn2`])]

const mlperfNames = kerasNames((kind, number) => {
  if (kind === 'conv2d') return mlperfConvolutions[number]
  if (kind === 'batch_normalization') return mlperfNorms[number]
  return kind === 'dense' && number === 0 ? 'linear' : undefined
})

/** Blocks of {@link mobileNetV1} in one row. */
const separableBlocks = [1, 2, 2, 6, 2].flatMap((count, stage) =>
  Array.from({ length: count }, (_, i) => `blocks.${stage}.${i}`),
)

const inside = (block: string | undefined, layer: string) => (block === undefined ? undefined : `${block}.${layer}`)

const mobileNetV1Names = kerasNames((kind, number) => {
  if (kind === 'conv2d') return number === 0 ? 'conv_stem' : inside(separableBlocks[number - 1], 'conv_pw')
  if (kind === 'depthwise_conv2d') return inside(separableBlocks[number], 'conv_dw')
  if (kind === 'batch_normalization') {
    return number === 0 ? 'bn1' : inside(separableBlocks[(number - 1) >> 1], number % 2 === 1 ? 'bn1' : 'bn2')
  }
  return kind === 'dense' && number === 0 ? 'classifier' : undefined
})

/** Sections of tiny.cfg that are convolutions, here {@link darknetTiny}'s. */
const darknetBlocks = [0, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18].map((section) => `features.${section}`)

// Keras counted from 1 when these were written.
const darknetNames = kerasNames((kind, number) => {
  if (kind === 'conv2d') return number === 16 ? 'classifier' : inside(darknetBlocks[number - 1], 'conv')
  return kind === 'batch_normalization' ? inside(darknetBlocks[number - 1], 'bn') : undefined
})

type PublishedName =
  | ('resnet20' | 'resnet32' | 'resnet44' | 'resnet56' | 'resnet110')
  | ('resnet20B' | 'resnet32B' | 'resnet44B' | 'resnet56B')
  | ('resnet18' | 'resnet34' | 'resnet50' | 'mobileNetV2' | 'squeezeNet')
  | ('mobileNetV1' | 'darknetTiny' | 'mlperfResnet8')

/** By the name of the network; those without published weights are left out. */
export const published: Readonly<Record<PublishedName, PublishedWeights>> & {
  readonly [architecture: string]: PublishedWeights | undefined
} = {
  resnet20: akamaster,
  resnet32: akamaster,
  resnet44: akamaster,
  resnet56: akamaster,
  resnet110: akamaster,
  resnet20B: chenyaofo,
  resnet32B: chenyaofo,
  resnet44B: chenyaofo,
  resnet56B: chenyaofo,
  resnet18: torchvision,
  resnet34: torchvision,
  resnet50: torchvision,
  mobileNetV2: torchvision,
  squeezeNet: torchvision,
  mobileNetV1: { source: 'mlcommons/tiny, visual wake words', rename: mobileNetV1Names },
  darknetTiny: { source: 'pjreddie/darknet, tiny.cfg, as a Keras model', rename: darknetNames },
  // Bytes go in as numbers of 0 … 255.
  mlperfResnet8: {
    source: 'mlcommons/tiny, image classification',
    pictures: { mean: 0, std: 1 / 255 },
    rename: mlperfNames,
  },
}
