import { checkOptions } from '../base/errors.ts'
import * as nn from '../nn/index.ts'
import { type ArchitectureOptions, shorterSide } from './architecture.ts'

const start = { initializer: { kind: 'he', fan: 'in', distribution: 'uniform' } } as const

/** Few channels, and from there 1×1 and 3×3 convolutions side by side (section 3.2, figure 1). */
function fire(squeeze: number, expand: number): nn.Layer {
  return nn.graph(
    [
      ['squeeze', nn.conv2d(squeeze, 1, start)],
      ['squeeze_activation', nn.relu()],
      ['expand1x1', nn.conv2d(expand, 1, start)],
      ['expand1x1_activation', nn.relu()],
      ['expand3x3', nn.conv2d(expand, 3, { padding: 1, ...start })],
      ['expand3x3_activation', nn.relu()],
      ['concat', nn.concat(-1)],
    ],
    { inputs: { expand3x3: ['squeeze_activation'], concat: ['expand1x1_activation', 'expand3x3_activation'] } },
  )
}

/**
 * SqueezeNet 1.1 (Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"; 1.1 of the authors'
 * repository has the pools earlier and takes 2.4 times less work). 1,235,496 parameters for 3 channels and 1,000 classes.
 * Paths and initial values are torchvision's.
 *
 * The network divides the sides of pictures by 16. Where the shorter side is at most 64 pixels, as `input` tells, the stem
 * has stride 1 and the sides are divided by 8. Parameters are the same in both forms.
 * @param options classes: default 1,000, in the form for small pictures 10
 */
export function squeezeNet(options: ArchitectureOptions = {}): nn.Layer {
  checkOptions('models.squeezeNet', options, ['classes', 'input'])
  const small = (shorterSide(options.input) ?? 224) <= 64
  const { classes = small ? 10 : 1000 } = options
  const pool = nn.maxPool2d(3, { stride: 2, ceil: true })
  const features = [
    nn.conv2d(64, 3, { stride: small ? 1 : 2, ...start }),
    nn.relu(),
    pool,
    fire(16, 64),
    fire(16, 64),
    pool,
    fire(32, 128),
    fire(32, 128),
    pool,
    fire(48, 192),
    fire(48, 192),
    fire(64, 256),
    fire(64, 256),
  ]
  // The classes are maps, and logits their means.
  const classifier = [
    nn.dropout(0.5),
    nn.conv2d(classes, 1, { initializer: { kind: 'normal', deviation: 0.01 } }),
    nn.relu(),
    nn.globalAvgPool(),
  ]
  return nn.sequential(['features', nn.sequential(...features)], ['classifier', nn.sequential(...classifier)])
}
