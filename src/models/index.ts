/** Networks by name. Names and parameter paths of published networks are the field's. */
import * as nn from '../nn/index.ts'

/**
 * The classic network for 28×28 digits: two 3×3 convolutions, one max-pool, two linear layers. 1.2 million parameters
 * at 28×28×1.
 */
export function simpleCnn(options: { readonly classes?: number } = {}): nn.Layer {
  const { classes = 10 } = options
  return nn.sequential(
    nn.conv2d(32, 3),
    nn.relu(),
    nn.conv2d(64, 3),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    nn.linear(128),
    nn.relu(),
    nn.linear(classes),
  )
}

function block(filters: number, stride: number): nn.Layer {
  const body = nn.sequential(
    nn.conv2d(filters, 3, { stride, padding: 1, bias: false }),
    nn.batchNorm(),
    nn.relu(),
    nn.conv2d(filters, 3, { padding: 1, bias: false }),
    nn.batchNorm(),
  )
  if (stride === 1) return nn.residual(body)
  return nn.residual(body, { shortcut: nn.sequential(nn.conv2d(filters, 1, { stride, bias: false }), nn.batchNorm()) })
}

/**
 * A residual network of eight layers: a stem and three stages of one block each (after He et al. 2016, section 4.2).
 * @param options width: filters of the first stage, doubled in each further one; default 16
 */
export function resnet8(options: { readonly classes?: number; readonly width?: number } = {}): nn.Layer {
  const { classes = 10, width = 16 } = options
  return nn.sequential(
    ['stem', nn.sequential(nn.conv2d(width, 3, { padding: 1, bias: false }), nn.batchNorm(), nn.relu())],
    ['stage1', block(width, 1)],
    ['stage2', block(2 * width, 2)],
    ['stage3', block(4 * width, 2)],
    ['pool', nn.globalAvgPool()],
    ['head', nn.linear(classes)],
  )
}

/** Architectures that can be asked for by name. */
export const architectures = { simpleCnn, resnet8 } as const
export type ArchitectureName = keyof typeof architectures
