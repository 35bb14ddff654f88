/** The convolutions of published networks at 224 × 224, for benchmarks. Squeeze-and-excitation is left out. */

export interface ConvolutionLayer {
  readonly batch: number
  readonly channels: number
  /** Height and width of what arrives. */
  readonly size: number
  readonly filters: number
  readonly kernelSize: number
  readonly stride: number
  /** 1, or as many as channels. */
  readonly groups: number
}

/** A layer and how often the network has it. */
export interface CountedLayer {
  /** Says all there is to know: `b8-3x3s2-64to128@56`, `b8-dw7x7s1-96@56`. */
  readonly work: string
  readonly count: number
}

/** Half the kernel, as everywhere in these networks; kernels without a middle stand side by side. */
export const paddingOf = (kernelSize: number): number => (kernelSize % 2 === 0 ? 0 : kernelSize >> 1)

const outSize = (size: number, kernelSize: number, stride: number): number =>
  Math.floor((size + 2 * paddingOf(kernelSize) - kernelSize) / stride) + 1

export function layerName({ batch, channels, size, filters, kernelSize: k, stride, groups }: ConvolutionLayer): string {
  const kind = groups > 1 ? `dw${k}x${k}s${stride}-${channels}` : `${k}x${k}s${stride}-${channels}to${filters}`
  return `b${batch}-${kind}@${size}`
}

/** The layer a name stands for; undefined when it is no such name. */
export function parseLayer(name: string): ConvolutionLayer | undefined {
  const match = /^b(\d+)-(dw)?(\d+)x\3s(\d+)-(\d+)(?:to(\d+))?@(\d+)$/.exec(name)
  if (match === null || (match[2] === undefined) !== (match[6] !== undefined)) return undefined
  const [batch, kernelSize, stride, channels, size] = [1, 3, 4, 5, 7].map((group) => Number(match[group]))
  if (Math.min(batch, kernelSize, stride, channels, size) < 1) return undefined
  const depthwise = match[2] !== undefined
  const filters = depthwise ? channels : Number(match[6])
  if (filters < 1 || outSize(size, kernelSize, stride) < 1) return undefined
  return { batch, channels, size, filters, kernelSize, stride, groups: depthwise ? channels : 1 }
}

/** Follows a network from layer to layer. */
class Network {
  readonly layers: ConvolutionLayer[] = []
  readonly #batch: number
  size: number
  channels: number

  constructor(batch: number, size = 224, channels = 3) {
    this.#batch = batch
    this.size = size
    this.channels = channels
  }

  conv(filters: number, kernelSize: number, stride = 1): void {
    this.#add({ filters, kernelSize, stride, groups: 1 })
    this.size = outSize(this.size, kernelSize, stride)
    this.channels = filters
  }

  depthwise(kernelSize: number, stride = 1): void {
    this.#add({ filters: this.channels, kernelSize, stride, groups: this.channels })
    this.size = outSize(this.size, kernelSize, stride)
  }

  /** A projection beside what follows. */
  aside(filters: number, stride: number): void {
    this.#add({ filters, kernelSize: 1, stride, groups: 1 })
  }

  pool(): void {
    this.size = Math.ceil(this.size / 2)
  }

  #add(layer: Omit<ConvolutionLayer, 'batch' | 'channels' | 'size'>): void {
    this.layers.push({ batch: this.#batch, channels: this.channels, size: this.size, ...layer })
  }
}

/** He et al. 2016, table 1; where bottlenecks stride, the 3×3 does, as in torchvision. */
function resnet(batch: number, blocks: readonly number[], bottleneck: boolean): Network {
  const net = new Network(batch)
  net.conv(64, 7, 2)
  net.pool()
  for (const [stage, count] of blocks.entries()) {
    const width = 64 * 2 ** stage
    const filters = bottleneck ? 4 * width : width
    for (let block = 0; block < count; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      if (stride > 1 || net.channels !== filters) net.aside(filters, stride)
      if (bottleneck) {
        net.conv(width, 1)
        net.conv(width, 3, stride)
        net.conv(filters, 1)
      } else {
        net.conv(width, 3, stride)
        net.conv(width, 3)
      }
    }
  }
  return net
}

type Stage = readonly [expansion: number, kernelSize: number, filters: number, blocks: number, stride: number]

/** Inverted residuals (Sandler et al. 2018), between a 3×3 stem and a 1×1 head. */
function inverted(batch: number, stages: readonly Stage[]): Network {
  const net = new Network(batch)
  net.conv(32, 3, 2)
  for (const [expansion, kernelSize, filters, blocks, stride] of stages) {
    for (let block = 0; block < blocks; block++) {
      if (expansion > 1) net.conv(expansion * net.channels, 1)
      net.depthwise(kernelSize, block === 0 ? stride : 1)
      net.conv(filters, 1)
    }
  }
  net.conv(1280, 1)
  return net
}

/** Liu et al. 2022, "A ConvNet for the 2020s". */
function convnext(batch: number, widths: readonly number[], blocks: readonly number[]): Network {
  const net = new Network(batch)
  net.conv(widths[0], 4, 4)
  for (const [stage, width] of widths.entries()) {
    if (stage > 0) net.conv(width, 2, 2)
    for (let block = 0; block < blocks[stage]; block++) {
      net.depthwise(7)
      net.conv(4 * width, 1)
      net.conv(width, 1)
    }
  }
  return net
}

const mobileNetV2: readonly Stage[] = [
  [1, 3, 16, 1, 1],
  [6, 3, 24, 2, 2],
  [6, 3, 32, 3, 2],
  [6, 3, 64, 4, 2],
  [6, 3, 96, 3, 1],
  [6, 3, 160, 3, 2],
  [6, 3, 320, 1, 1],
]
/** Tan and Le 2019, table 1. */
const efficientNetB0: readonly Stage[] = [
  [1, 3, 16, 1, 1],
  [6, 3, 24, 2, 2],
  [6, 5, 40, 2, 2],
  [6, 3, 80, 3, 2],
  [6, 5, 112, 3, 1],
  [6, 5, 192, 4, 2],
  [6, 3, 320, 1, 1],
]

const networks: Readonly<Record<string, () => Network>> = {
  resnet18: () => resnet(8, [2, 2, 2, 2], false),
  resnet50: () => resnet(8, [3, 4, 6, 3], true),
  'mobilenet-v2': () => inverted(8, mobileNetV2),
  'convnext-t': () => convnext(8, [96, 192, 384, 768], [3, 3, 9, 3]),
  'efficientnet-b0': () => inverted(8, efficientNetB0),
}

export const layerSetNames: readonly string[] = Object.keys(networks)

/** The different layers of a network in order, each with how often it occurs. */
export function layerSet(name: string): readonly CountedLayer[] {
  const counts = new Map<string, number>()
  for (const layer of networks[name]().layers) counts.set(layerName(layer), (counts.get(layerName(layer)) ?? 0) + 1)
  return [...counts].map(([work, count]) => ({ work, count }))
}
