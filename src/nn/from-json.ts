/** Layers from their descriptions. Apart from the layers, so that a page which reads none holds only those it uses. */
import { didYouMean, FormatError } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import * as activations from './activations.ts'
import * as arithmetic from './arithmetic.ts'
import * as arrange from './arrange.ts'
import * as containers from './containers.ts'
import * as transposed from './conv-transpose.ts'
import * as convolution from './convolution.ts'
import * as dense from './dense.ts'
import { type GraphOptions, graph } from './graph.ts'
import type { Json, Layer, LayerJson } from './layer.ts'
import * as normalization from './normalization.ts'
import * as pooling from './pooling.ts'
import * as quantization from './quantization.ts'
import * as reducing from './reducing.ts'
import * as shortcut from './shortcut.ts'
import * as signal from './signal.ts'
import * as spatial from './spatial.ts'
import { type ValueOptions, value } from './value.ts'

type Options = { readonly [name: string]: Json }
type Reader = (options: Options, layers: ReadonlyMap<string, Layer>) => Layer

const rest = (options: Options, ...taken: string[]) =>
  Object.fromEntries(Object.entries(options).filter(([name]) => !taken.includes(name)))
const number = (options: Options, name: string) => options[name] as number

/** How each type in a model.json becomes a layer again. */
const readers: Readonly<Record<string, Reader>> = {
  sequential: (_o, layers) => containers.sequential(...layers),
  graph: (o, layers) => graph([...layers], o as GraphOptions),
  residual(o, layers) {
    const name = (o.shortcut as string | undefined) ?? 'shortcut'
    const around = layers.get(name)
    if (around === undefined && o.shortcut !== undefined) {
      throw new FormatError({
        where: 'residual',
        what: `there is no layer "${name}", which is to be the shortcut`,
        got: [...layers.keys()].map((inner) => `"${inner}"`).join(', '),
        expected: 'the shortcut among the layers inside',
        fix: 'save the model again',
      })
    }
    return containers.residual(
      [...layers].filter(([inner]) => inner !== name),
      { shortcut: around === undefined ? undefined : [name, around], activation: o.activation as 'relu' | 'none' },
    )
  },
  conv1d: (o) => convolution.conv1d(number(o, 'filters'), number(o, 'kernelSize'), rest(o, 'filters', 'kernelSize')),
  conv2d: (o) => convolution.conv2d(number(o, 'filters'), o.kernelSize as number, rest(o, 'filters', 'kernelSize')),
  conv3d: (o) => convolution.conv3d(number(o, 'filters'), o.kernelSize as number, rest(o, 'filters', 'kernelSize')),
  convTranspose1d: (o) =>
    transposed.convTranspose1d(number(o, 'filters'), number(o, 'kernelSize'), rest(o, 'filters', 'kernelSize')),
  convTranspose2d: (o) =>
    transposed.convTranspose2d(number(o, 'filters'), o.kernelSize as number, rest(o, 'filters', 'kernelSize')),
  depthwiseConv1d: (o) => convolution.depthwiseConv1d(number(o, 'kernelSize'), rest(o, 'kernelSize')),
  depthwiseConv2d: (o) => convolution.depthwiseConv2d(o.kernelSize as number, rest(o, 'kernelSize')),
  linear: (o) => dense.linear(number(o, 'features'), rest(o, 'features')),
  embedding: (o) => dense.embedding(number(o, 'count'), number(o, 'features')),
  batchNorm: (o) => normalization.batchNorm(o),
  layerNorm: (o) => normalization.layerNorm(o),
  instanceNorm: (o) => normalization.instanceNorm(o),
  lrn: (o) => normalization.lrn(o),
  groupNorm: (o) => normalization.groupNorm(number(o, 'groups'), rest(o, 'groups')),
  maxPool1d: (o) => pooling.maxPool1d(o.size as pooling.PoolSize, rest(o, 'size')),
  maxPool2d: (o) => pooling.maxPool2d(o.size as pooling.PoolSize, rest(o, 'size')),
  avgPool1d: (o) => pooling.avgPool1d(o.size as pooling.PoolSize, rest(o, 'size')),
  avgPool2d: (o) => pooling.avgPool2d(o.size as pooling.PoolSize, rest(o, 'size')),
  maxPool3d: (o) => pooling.maxPool3d(o.size as pooling.PoolSize, rest(o, 'size')),
  avgPool3d: (o) => pooling.avgPool3d(o.size as pooling.PoolSize, rest(o, 'size')),
  globalAvgPool: (o) => pooling.globalAvgPool(o),
  globalMaxPool: (o) => pooling.globalMaxPool(o),
  identityShortcut: (o) => shortcut.identityShortcut(number(o, 'filters'), rest(o, 'filters')),
  flatten: () => activations.flatten(),
  dropout: (o) => activations.dropout(number(o, 'rate')),
  relu: () => activations.relu(),
  relu6: () => activations.relu6(),
  leakyRelu: (o) => activations.leakyRelu(number(o, 'slope')),
  elu: (o) => activations.elu(number(o, 'alpha')),
  gelu: (o) => activations.gelu(o.form as 'erf' | 'tanh'),
  silu: () => activations.silu(),
  selu: (o) => activations.selu(o),
  celu: (o) => activations.celu(number(o, 'alpha')),
  softplus: () => activations.softplus(),
  logSigmoid: () => activations.logSigmoid(),
  softsign: () => activations.softsign(),
  mish: () => activations.mish(),
  hardSigmoid: (o) => activations.hardSigmoid(o),
  hardTanh: (o) => activations.hardTanh(o),
  thresholdedRelu: (o) => activations.thresholdedRelu(number(o, 'alpha')),
  shrink: (o) => activations.shrink(o),
  prelu: (o) => activations.prelu(o),
  pad: (o) => spatial.pad(o.pads as readonly (readonly [number, number])[], rest(o, 'pads')),
  resize: (o) => spatial.resize(o),
  depthToSpace: (o) => spatial.depthToSpace(number(o, 'block'), rest(o, 'block')),
  spaceToDepth: (o) => spatial.spaceToDepth(number(o, 'block'), rest(o, 'block')),
  sigmoid: () => activations.sigmoid(),
  tanh: () => activations.tanh(),
  hardSwish: () => activations.hardSwish(),
  dft: (o) => signal.dft(o),
  stft: (o) => signal.stft(o as unknown as signal.StftLayerOptions),
  quantize: (o) => quantization.quantize(o as unknown as quantization.QuantizeOptions),
  dequantize: (o) => quantization.dequantize(o as unknown as quantization.DequantizeOptions),
  softmax: (o) => activations.softmax(o),
  logSoftmax: (o) => activations.logSoftmax(o),
  unary: (o) => arithmetic.unary(o.op as arithmetic.UnaryName),
  binary: (o) => arithmetic.binary(o.op as arithmetic.BinaryName),
  scalar: (o) => arithmetic.scalar(o.op as arithmetic.BinaryName, number(o, 'value'), rest(o, 'op', 'value')),
  clamp: (o) => arithmetic.clamp(o),
  where: () => arithmetic.where(),
  matmul: () => arithmetic.matmul(),
  cast: (o) => arithmetic.cast(o.dtype as 'f32'),
  identity: () => arithmetic.identity(),
  value: (o) => value(o.shape as Shape, rest(o, 'shape') as ValueOptions),
  reshape: (o) => arrange.reshape(o.shape as Shape),
  permute: (o) => arrange.permute(o.axes as readonly number[]),
  slice: (o) => arrange.slice(o.ranges as readonly (arrange.SliceRange | null)[]),
  concat: (o) => arrange.concat(o.axis as number | undefined),
  expand: (o) => arrange.expand(o.shape as Shape),
  tile: (o) => arrange.tile(o.repeats as readonly number[]),
  take: (o) => arrange.take(number(o, 'axis'), o.indices as number | readonly number[]),
  gather: (o) => arrange.gather(number(o, 'axis')),
  reduce: (o) => reducing.reduce(o.op as reducing.ReductionName, o.axes as readonly number[], rest(o, 'op', 'axes')),
  argmax: (o) => reducing.argmax(number(o, 'axis'), rest(o, 'axis')),
  argmin: (o) => reducing.argmin(number(o, 'axis'), rest(o, 'axis')),
}

/** Names of all layer types. */
export const layerTypes: readonly string[] = Object.keys(readers)

/**
 * The layer a description stands for. Nothing in a description is executed.
 * @param source the file, for messages
 * @throws FormatError on a type this version does not know
 */
export function layerFromJson(json: LayerJson, source = 'model.json'): Layer {
  const reader = Object.hasOwn(readers, json.type) ? readers[json.type] : undefined
  if (reader === undefined) {
    throw new FormatError({
      where: source,
      what: `there is no layer type '${json.type}'`,
      expected: layerTypes.join(', '),
      fix: didYouMean(String(json.type), layerTypes),
    })
  }
  const layers = (json.layers ?? []).map((inner) => [inner.name, layerFromJson(inner, source)] as const)
  return reader(json.options ?? {}, new Map(layers))
}
