/** The products of spectra: one small matrix product for every frequency. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { complexRows, defineComplexProduct } from './complex.ts'
import { type BlockPlan, type SpectrumLayout, sumLayout, vectorsOf, type WeightLayout } from './plan.ts'

const multiplyAddsPerTask = 400_000

export const productsSpec: KernelSpec = {
  key: 'fftProducts',
  build: (target) => buildProducts('fftProducts', target),
}

/** [rows of blocks × channels] · [channels × outputs] for every slot. */
export function productsCall(
  plan: BlockPlan,
  channels: number,
  outChannels: number,
  layouts: { readonly input: SpectrumLayout; readonly weights: WeightLayout; readonly output: SpectrumLayout },
  target: Target,
) {
  const { input, weights, output } = layouts
  const panels = vectorsOf(outChannels, target)
  const perPanel = input.rows * 2 * channels * 2 * target.lanes
  const wanted = Math.max(1, Math.round(multiplyAddsPerTask / Math.max(1, perPanel)))
  const groups = Math.max(1, Math.ceil(panels / wanted))
  const panelsPerTask = Math.max(1, Math.ceil(panels / groups))
  const params = [
    input.rows,
    channels,
    vectorsOf(channels, target) * target.lanes,
    input.row,
    input.slot,
    weights.panel,
    weights.slot,
    output.row,
    output.slot,
    panels,
    panelsPerTask,
    groups,
  ]
  return {
    params,
    tasks: plan.slots * groups,
    scratch: [],
    work: plan.slots * panels * perPanel,
  }
}

function buildProducts(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const a = k.buffer('x', 'f32', 'input')
  const b = k.buffer('weights', 'f32', 'input')
  const out = k.buffer('y', 'f32', 'output')
  const [rows, channels, part] = ['rows', 'channels', 'part'].map((name) => k.int(name))
  const [aRow, aSlot, bPanel, bSlot] = ['aRow', 'aSlot', 'bPanel', 'bSlot'].map((name) => k.int(name))
  const [outRow, outSlot] = ['outRow', 'outSlot'].map((name) => k.int(name))
  const [panels, panelsPerTask, groups] = ['panels', 'panelsPerTask', 'groups'].map((name) => k.int(name))
  const product = defineComplexProduct(k, {
    a,
    b,
    out,
    aRow,
    aStep: 1,
    aPart: part,
    bStep: 2 * k.lanes,
    outRow,
    conjugate: false,
  })
  k.task((task) => {
    const slot = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), panelsPerTask))
    k.loop(min(sub(panels, first), panelsPerTask), (i) => {
      const panel = k.let(add(first, i))
      const column = k.let(mul(panel, 2 * k.lanes))
      const from = k.point(a, mul(slot, aSlot))
      const right = k.point(b, add(mul(slot, bSlot), mul(panel, bPanel)))
      k.call(product, from, right, k.point(out, add(mul(slot, outSlot), column)), rows, channels)
    })
  })
  return k.build(`fft_products_f32_${complexRows(target)}x${2 * k.lanes}_${target.name}`, key)
}

export const gradientProductsSpec: KernelSpec = {
  key: 'fftGradientProducts',
  build: (target) => buildGradientProducts('fftGradientProducts', target),
}

/** [channels × rows of blocks] · [rows × outputs] for every slot, added to what the chunks before gave. */
export function gradientProductsCall(
  plan: BlockPlan,
  channels: number,
  outChannels: number,
  layouts: { readonly input: SpectrumLayout; readonly upstream: SpectrumLayout },
  chunk: number,
  target: Target,
) {
  const { input, upstream } = layouts
  const sums = sumLayout(plan, channels, outChannels, target)
  const panels = vectorsOf(outChannels, target)
  const perPanel = input.rows * 2 * channels * 2 * target.lanes
  const wanted = Math.max(1, Math.round(multiplyAddsPerTask / Math.max(1, perPanel)))
  const groups = Math.max(1, Math.ceil(panels / wanted))
  const panelsPerTask = Math.max(1, Math.ceil(panels / groups))
  const params = [
    channels,
    input.rows,
    vectorsOf(channels, target) * target.lanes,
    input.row,
    input.slot,
    upstream.row,
    upstream.slot,
    sums.channel,
    sums.slot,
    chunk,
    panels,
    panelsPerTask,
    groups,
  ]
  return {
    params,
    tasks: plan.slots * groups,
    scratch: [],
    work: plan.slots * panels * perPanel,
  }
}

function buildGradientProducts(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const a = k.buffer('x', 'f32', 'input')
  const b = k.buffer('upstream', 'f32', 'input')
  const out = k.buffer('sums', 'f32', 'output')
  const [channels, rows, part] = ['channels', 'rows', 'part'].map((name) => k.int(name))
  const [aRow, aSlot, bRow, bSlot] = ['aRow', 'aSlot', 'bRow', 'bSlot'].map((name) => k.int(name))
  const [outChannel, outSlot] = ['outChannel', 'outSlot'].map((name) => k.int(name))
  const [chunk, panels] = ['chunk', 'panels'].map((name) => k.int(name))
  const [panelsPerTask, groups] = ['panelsPerTask', 'groups'].map((name) => k.int(name))
  const product = defineComplexProduct(k, {
    a,
    b,
    out,
    aRow: 1,
    aStep: aRow,
    aPart: part,
    bStep: bRow,
    outRow: outChannel,
    conjugate: true,
    before: chunk,
  })
  k.task((task) => {
    const slot = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), panelsPerTask))
    k.loop(min(sub(panels, first), panelsPerTask), (i) => {
      const column = k.let(mul(add(first, i), 2 * k.lanes))
      const right = k.point(b, add(mul(slot, bSlot), column))
      k.call(
        product,
        k.point(a, mul(slot, aSlot)),
        right,
        k.point(out, add(mul(slot, outSlot), column)),
        channels,
        rows,
      )
    })
  })
  return k.build(`fft_gradient_products_f32_${complexRows(target)}x${2 * k.lanes}_${target.name}`, key)
}
