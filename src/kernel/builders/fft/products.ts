/** The products of spectra: one small matrix product for every frequency. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { accumulateSink, defineSweep, edgeSize, storeSink, wideTile } from '../contraction/tile.ts'
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
  const together = channels % target.lanes === 0
  const params = [
    input.rows,
    together ? 1 : 2,
    together ? 2 * channels : channels,
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
    scratch: [edgeSize(wideTile(target), target)],
    work: plan.slots * panels * perPanel,
  }
}

function buildProducts(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const a = k.buffer('x', 'f32', 'input')
  const b = k.buffer('weights', 'f32', 'input')
  const out = k.buffer('y', 'f32', 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const [rows, parts, run, part] = ['rows', 'parts', 'run', 'part'].map((name) => k.int(name))
  const [aRow, aSlot, bPanel, bSlot] = ['aRow', 'aSlot', 'bPanel', 'bSlot'].map((name) => k.int(name))
  const [outRow, outSlot] = ['outRow', 'outSlot'].map((name) => k.int(name))
  const [panels, panelsPerTask, groups] = ['panels', 'panelsPerTask', 'groups'].map((name) => k.int(name))
  const tile = wideTile(target)
  const sweep = defineSweep(k, {
    tile,
    a,
    b,
    aRow,
    aStep: 1,
    bStep: 2 * k.lanes,
    outerStep: part,
    middleStep: part,
    outRow,
    sink: storeSink(k, out, outRow),
    edge,
    wholeColumns: true,
  })
  k.task((task) => {
    const slot = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), panelsPerTask))
    k.loop(min(sub(panels, first), panelsPerTask), (i) => {
      const panel = k.let(add(first, i))
      const column = k.let(mul(panel, 2 * k.lanes))
      const from = k.point(a, mul(slot, aSlot))
      const right = k.point(b, add(mul(slot, bSlot), mul(panel, bPanel)))
      k.call(sweep, from, right, add(mul(slot, outSlot), column), column, 2 * k.lanes, rows, 1, parts, run)
    })
  })
  return k.build(`fft_products_f32_${tile.rows}x${2 * k.lanes}_${target.name}`, key)
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
    sums.part,
    2 * sums.part,
    sums.slot,
    chunk,
    panels,
    panelsPerTask,
    groups,
  ]
  return {
    params,
    tasks: plan.slots * groups,
    scratch: [edgeSize(wideTile(target), target)],
    work: plan.slots * panels * perPanel,
  }
}

function buildGradientProducts(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const a = k.buffer('x', 'f32', 'input')
  const b = k.buffer('upstream', 'f32', 'input')
  const out = k.buffer('sums', 'f32', 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const [channels, rows, part] = ['channels', 'rows', 'part'].map((name) => k.int(name))
  const [aRow, aSlot, bRow, bSlot] = ['aRow', 'aSlot', 'bRow', 'bSlot'].map((name) => k.int(name))
  const [outPart, outChannel, outSlot] = ['outPart', 'outChannel', 'outSlot'].map((name) => k.int(name))
  const [chunk, panels] = ['chunk', 'panels'].map((name) => k.int(name))
  const [panelsPerTask, groups] = ['panelsPerTask', 'groups'].map((name) => k.int(name))
  const tile = wideTile(target)
  const sweep = defineSweep(k, {
    tile,
    a,
    b,
    aRow: 1,
    aStep: aRow,
    bStep: bRow,
    outerStep: part,
    middleStep: part,
    outRow: outChannel,
    sink: accumulateSink(k, out, outChannel),
    edge,
    wholeColumns: true,
  })
  k.task((task) => {
    const slot = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), panelsPerTask))
    k.loop(min(sub(panels, first), panelsPerTask), (i) => {
      const column = k.let(mul(add(first, i), 2 * k.lanes))
      k.loop(2, (side) => {
        const from = k.point(a, add(mul(slot, aSlot), mul(side, part)))
        const right = k.point(b, add(mul(slot, bSlot), column))
        const to = add(add(mul(slot, outSlot), mul(side, outPart)), column)
        k.call(sweep, from, right, to, chunk, 2 * k.lanes, channels, 1, 1, rows)
      })
    })
  })
  return k.build(`fft_gradient_products_f32_${tile.rows}x${2 * k.lanes}_${target.name}`, key)
}
