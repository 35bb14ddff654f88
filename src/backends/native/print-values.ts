/** Values of the loop language as C expressions. */
import { bytesPerElement } from '../../base/dtype.ts'
import type { BufferParam, Expr, Local, Pointer, ScalarParam, Statement } from '../../kernel/language.ts'

/** How the printer calls what a value reads. */
export interface Places {
  local(local: Local | Pointer): string
  param(param: ScalarParam): string
  /** The first element of a buffer. */
  start(buffer: BufferParam): string
}

const compareOperators = { eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=' } as const
const plainOperators = { add: '+', sub: '-', mul: '*', div: '/', rem: '%', and: '&', or: '|', xor: '^' } as const

function literalInt(value: number): string {
  return value === -2147483648 ? '(-2147483647 - 1)' : value < 0 ? `(${value})` : String(value)
}

function literalFloat(value: number): string {
  const single = Math.fround(value)
  if (Number.isNaN(single)) return '__builtin_nanf("")'
  if (!Number.isFinite(single)) return single > 0 ? '__builtin_inff()' : '(-__builtin_inff())'
  if (Object.is(single, -0)) return '(-0.0f)'
  const text = String(single)
  const written = /[.e]/.test(text) ? `${text}f` : `${text}.0f`
  return single < 0 ? `(${written})` : written
}

export class CValues {
  readonly places: Places

  constructor(places: Places) {
    this.places = places
  }

  /** pointer + index, in elements. */
  element(pointer: string, index: Expr): string {
    if (index.op === 'const') return index.value === 0 ? pointer : `${pointer} + ${literalInt(index.value)}`
    return `${pointer} + (i64)${this.of(index)}`
  }

  of(e: Expr): string {
    const vector = e.type.lanes > 1
    switch (e.op) {
      case 'const': {
        if (e.type.kind === 'f32') return vector ? `SPLAT_F(${literalFloat(e.value)})` : literalFloat(e.value)
        const value = e.type.kind === 'bool' ? (e.value === 0 ? 0 : vector ? -1 : 1) : e.value
        return vector ? `SPLAT_I(${literalInt(value)})` : literalInt(value)
      }
      case 'local':
        return this.places.local(e.local)
      case 'param':
        return this.places.param(e.param)
      case 'unary':
        return this.#unary(e)
      case 'intrinsic':
        throw new Error(`${e.name} reached C; kernel/math.ts expands it for this target`)
      case 'binary':
        return this.#binary(e)
      case 'compare': {
        const text = `(${this.of(e.a)} ${compareOperators[e.name]} ${this.of(e.b)})`
        return vector ? `((vi)${text})` : text
      }
      case 'fma':
        return `${vector ? 'FMA_V' : 'FMA'}(${this.of(e.a)}, ${this.of(e.b)}, ${this.of(e.c)})`
      case 'dot2':
        return `DOT2(${this.of(e.a)}, ${this.of(e.b)}, ${this.of(e.c)})`
      case 'select': {
        const [condition, a, b] = [e.condition, e.a, e.b].map((operand) => this.of(operand))
        if (!vector) return `(${condition} ? ${a} : ${b})`
        return `${e.type.kind === 'f32' ? 'select_f' : 'select_i'}(${condition}, ${a}, ${b})`
      }
      case 'convert':
        return this.#convert(e)
      case 'bitcast':
        if (vector) return `((${e.type.kind === 'i32' ? 'vi' : 'vf'})${this.of(e.a)})`
        return `${e.type.kind === 'i32' ? 'bits_of' : 'float_of'}(${this.of(e.a)})`
      case 'splat':
        if (e.type.kind === 'f32') return `SPLAT_F(${this.of(e.a)})`
        return e.type.kind === 'bool' ? `SPLAT_I(-${this.of(e.a)})` : `SPLAT_I(${this.of(e.a)})`
      case 'laneIndex':
        return 'LANE_INDEX'
      case 'reduceLanes':
        return `${e.name}_lanes_${e.type.kind === 'f32' ? 'f' : 'i'}(${this.of(e.a)})`
      case 'load':
        return this.#load(e)
      case 'position':
        return `((i32)(${this.places.local(e.pointer)} - ${this.places.start(e.pointer.buffer)}))`
      default:
        return e satisfies never
    }
  }

  #unary(e: Extract<Expr, { op: 'unary' }>): string {
    const a = this.of(e.a)
    const vector = e.type.lanes > 1
    if (e.name === 'not') return vector ? `(~${a})` : `(!${a})`
    if (e.name === 'neg') return `(-${a})`
    if (e.type.kind === 'i32') return vector ? `abs_i(${a})` : `(${a} < 0 ? -${a} : ${a})`
    return `${vector ? `${e.name}_v` : `${e.name}_s`}(${a})`
  }

  #binary(e: Extract<Expr, { op: 'binary' }>): string {
    const a = this.of(e.a)
    const b = this.of(e.b)
    const vector = e.type.lanes > 1
    const suffix = e.type.kind === 'f32' ? 'f' : 'i'
    switch (e.name) {
      case 'min':
      case 'max':
        return `${e.name}_${vector ? 'v' : ''}${suffix}(${a}, ${b})`
      case 'shl':
      case 'shr':
      case 'shru': {
        const by = e.b.op === 'const' ? b : `(${b} & ${vector ? 'SPLAT_I(31)' : '31'})`
        if (e.name === 'shr') return `(${a} >> ${by})`
        // On unsigned lanes a left shift cannot overflow and a right shift brings zeros.
        const unsigned = vector ? 'vu' : 'u32'
        return `((${vector ? 'vi' : 'i32'})((${unsigned})${a} ${e.name === 'shl' ? '<<' : '>>'} (${unsigned})${by}))`
      }
      default:
        return `(${a} ${plainOperators[e.name]} ${b})`
    }
  }

  #convert(e: Extract<Expr, { op: 'convert' }>): string {
    const a = this.of(e.a)
    const vector = e.type.lanes > 1
    const from = e.a.type.kind
    if (e.type.kind === 'bool') return vector ? `((vi)(${a} != 0))` : `(${a} != 0)`
    if (from === 'bool') {
      if (e.type.kind === 'i32') return vector ? `(${a} & 1)` : a
      return vector ? `((vf)(${a} & (vi)SPLAT_F(1.0f)))` : `((f32)${a})`
    }
    if (e.type.kind === 'f32') return vector ? `__builtin_convertvector(${a}, vf)` : `((f32)${a})`
    return vector ? `truncate_v(${a})` : `truncate_s(${a})`
  }

  #load(e: Extract<Expr, { op: 'load' }>): string {
    const { pointer, offset, count } = e
    const { lanes } = e.type
    const { dtype } = pointer.buffer
    const p = this.places.local(pointer)
    const wide = bytesPerElement[dtype] === 4
    const at = offset === 0 ? p : `(${p} + ${literalInt(offset)})`
    if (dtype === 'bf16') return this.#loadHalf(e, p, at)
    if (lanes === 1) return dtype === 'bool' ? `(*${at} != 0)` : wide ? `(*${at})` : `((i32)*${at})`
    const kind = dtype === 'f32' ? 'F' : 'I'
    let value: string
    if (e.stride === undefined && count === lanes) {
      value = wide ? `LOAD_${kind}(${at})` : `LOAD_BYTES(${at})`
    } else {
      const stride = e.stride === undefined ? undefined : this.of(e.stride)
      const elements = Array.from({ length: lanes }, (_, lane) => {
        if (lane >= count) return '0'
        if (stride === undefined) return `${p}[${offset + lane}]`
        return lane === 0 ? `*${at}` : `${at}[${lane} * (i64)${stride}]`
      })
      value = `((${dtype === 'f32' ? 'vf' : 'vi'}){${elements.join(', ')}})`
    }
    return dtype === 'bool' ? `((vi)(${value} != 0))` : value
  }

  #loadHalf({ type: { lanes }, offset, count, ...e }: Extract<Expr, { op: 'load' }>, p: string, at: string): string {
    if (lanes === 1) return `from_half(*${at})`
    if (e.stride === undefined && count === lanes) return `LOAD_HALF(${at})`
    const stride = e.stride === undefined ? undefined : this.of(e.stride)
    const elements = Array.from({ length: lanes }, (_, lane) => {
      if (lane >= count) return '0'
      return `from_half(${stride === undefined ? `${p}[${offset + lane}]` : `${at}[${lane} * (i64)${stride}]`})`
    })
    return `((vf){${elements.join(', ')}})`
  }

  store(s: Extract<Statement, { op: 'store' }>, p: string): string[] {
    const { value, count, offset } = s
    const { dtype } = s.pointer.buffer
    const wide = bytesPerElement[dtype] === 4
    const at = offset === 0 ? p : `(${p} + ${literalInt(offset)})`
    const text = this.of(value)
    const half = dtype === 'bf16'
    if (value.type.lanes === 1)
      return [`*${at} = ${dtype === 'bool' ? `(${text} != 0)` : half ? `to_half(${text})` : text};`]
    const written = dtype === 'bool' ? `(${text} & 1)` : text
    if (s.stride === undefined && count === value.type.lanes) {
      if (half) return [`STORE_HALF(${at}, ${written});`]
      if (!wide) return [`STORE_BYTES(${at}, ${written});`]
      return [`STORE_${dtype === 'f32' ? 'F' : 'I'}(${at}, ${written});`]
    }
    // All lanes are computed before the first is written: the memory may overlap.
    const stride = s.stride === undefined ? undefined : this.of(s.stride)
    const lines = Array.from({ length: count }, (_, lane) => {
      const target = stride === undefined ? `${p}[${offset + lane}]` : `${at}[${lane} * (i64)${stride}]`
      return `${target} = ${half ? `to_half(v[${lane}])` : `v[${lane}]`};`
    })
    return [`{ const ${value.type.kind === 'f32' ? 'vf' : 'vi'} v = ${written}; ${lines.join(' ')} }`]
  }
}
