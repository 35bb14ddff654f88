/** Which exporter writes which layer. */
import { activations } from './activations.ts'
import { arithmetic } from './arithmetic.ts'
import { arrangings } from './arranging.ts'
import { convolutions } from './convolution.ts'
import { dense } from './dense.ts'
import type { OnnxExporter } from './exporter.ts'
import { norms } from './normalization.ts'
import { pools } from './pooling.ts'
import { quantizations } from './quantization.ts'
import { reducings } from './reducing.ts'
import { signals } from './signal.ts'
import { spatial } from './spatial.ts'

/** By layer type. Layers that hold others are walked through and need none. */
export const exporters: Readonly<Record<string, OnnxExporter>> = {
  ...convolutions,
  ...pools,
  ...dense,
  ...norms,
  ...activations,
  ...arithmetic,
  ...arrangings,
  ...reducings,
  ...spatial,
  ...signals,
  ...quantizations,
}
