/** Residual networks for photographs (He et al. 2016, "Deep residual learning for image recognition", table 1). */
import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, shorterSide } from './architecture.ts'
import { type Block, basicBlock, bottleneck, conv3x3, fanOut, projection, stage } from './resnet-blocks.ts'

export interface ResNetOptions extends ArchitectureOptions {
  /**
   * `'imagenet'`: a 7×7 stem of stride 2 and a 3×3 max-pool of stride 2, as in table 1; `'cifar'`: a 3×3 stem of stride 1
   * and no pool. Default: `'cifar'` where the shorter side of `input` is at most 64 pixels.
   */
  readonly form?: 'cifar' | 'imagenet'
}

/** Four stages of blocks; projections (option B) where the shape changes. */
function resnet(name: string, block: Block, blocks: readonly number[], options: ResNetOptions): nn.Layer {
  checkOptions(`models.${name}`, options, ['classes', 'input', 'form'])
  const small = (shorterSide(options.input) ?? 224) <= 64
  const { form = small ? 'cifar' : 'imagenet' } = options
  const { classes = form === 'cifar' ? 10 : 1000 } = options
  const expansion = block === bottleneck ? 4 : 1
  const stem: readonly nn.Entry[] = [
    ['conv1', form === 'cifar' ? conv3x3(64, 1, fanOut) : nn.conv2d(64, 7, { stride: 2, padding: 3, ...fanOut })],
    ['bn1', nn.batchNorm()],
    ['relu', nn.relu()],
  ]
  const stages = blocks.map((count, i): nn.Entry => {
    const filters = 64 * 2 ** i
    const stride = i === 0 ? 1 : 2
    const changes = stride > 1 || expansion > 1
    const first = changes ? projection(expansion * filters, stride, fanOut) : undefined
    return [`layer${i + 1}`, stage(count, block, filters, stride, fanOut, first)]
  })
  return nn.sequential(
    ...stem,
    ...(form === 'cifar' ? [] : [['maxpool', nn.maxPool2d(3, { stride: 2, padding: 1 })] as const]),
    ...stages,
    ['avgpool', nn.globalAvgPool()],
    ['fc', nn.linear(classes)],
  )
}

/**
 * ResNet-18. 11,689,512 parameters for 3 channels and 1,000 classes. Paths and initial values are torchvision's; the form
 * for small pictures differs from it in the shape of `conv1.weight`.
 * @param options classes: default 1,000, in the form for small pictures 10
 */
export function resnet18(options: ResNetOptions = {}): nn.Layer {
  return resnet('resnet18', basicBlock, [2, 2, 2, 2], options)
}

/**
 * ResNet-34. 21,797,672 parameters for 3 channels and 1,000 classes. Paths, initial values and forms as {@link resnet18}.
 * @param options classes: default 1,000, in the form for small pictures 10
 */
export function resnet34(options: ResNetOptions = {}): nn.Layer {
  return resnet('resnet34', basicBlock, [3, 4, 6, 3], options)
}

/**
 * ResNet-50, of bottleneck blocks whose 3×3 convolution strides: torchvision's, which is called v1.5. 25,557,032
 * parameters for 3 channels and 1,000 classes. Paths, initial values and forms as {@link resnet18}.
 * @param options classes: default 1,000, in the form for small pictures 10
 */
export function resnet50(options: ResNetOptions = {}): nn.Layer {
  return resnet('resnet50', bottleneck, [3, 4, 6, 3], options)
}
