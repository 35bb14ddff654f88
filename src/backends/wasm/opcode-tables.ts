/** Which instruction an operation of the loop language is. */
import type { BinaryName, CompareName } from '../../kernel/language.ts'
import { type Opcode, op } from './encode.ts'

export const scalarBinary: Record<'f32' | 'i32', Partial<Record<BinaryName, Opcode>>> = {
  f32: { add: op.f32Add, sub: op.f32Sub, mul: op.f32Mul, div: op.f32Div },
  i32: {
    add: op.i32Add,
    sub: op.i32Sub,
    mul: op.i32Mul,
    div: op.i32DivS,
    rem: op.i32RemS,
    and: op.i32And,
    or: op.i32Or,
    xor: op.i32Xor,
    shl: op.i32Shl,
    shr: op.i32ShrS,
    shru: op.i32ShrU,
  },
}
export const vectorBinary: Record<'f32' | 'i32', Partial<Record<BinaryName, Opcode>>> = {
  f32: { add: op.f32x4Add, sub: op.f32x4Sub, mul: op.f32x4Mul, div: op.f32x4Div },
  i32: {
    add: op.i32x4Add,
    sub: op.i32x4Sub,
    mul: op.i32x4Mul,
    min: op.i32x4MinS,
    max: op.i32x4MaxS,
    and: op.v128And,
    or: op.v128Or,
    xor: op.v128Xor,
  },
}
export const vectorShift: Partial<Record<BinaryName, Opcode>> = {
  shl: op.i32x4Shl,
  shr: op.i32x4ShrS,
  shru: op.i32x4ShrU,
}
export const compares: Record<'f32' | 'i32', Record<CompareName, readonly [scalar: Opcode, vector: Opcode]>> = {
  f32: {
    eq: [op.f32Eq, op.f32x4Eq],
    ne: [op.f32Ne, op.f32x4Ne],
    lt: [op.f32Lt, op.f32x4Lt],
    le: [op.f32Le, op.f32x4Le],
    gt: [op.f32Gt, op.f32x4Gt],
    ge: [op.f32Ge, op.f32x4Ge],
  },
  i32: {
    eq: [op.i32Eq, op.i32x4Eq],
    ne: [op.i32Ne, op.i32x4Ne],
    lt: [op.i32LtS, op.i32x4LtS],
    le: [op.i32LeS, op.i32x4LeS],
    gt: [op.i32GtS, op.i32x4GtS],
    ge: [op.i32GeS, op.i32x4GeS],
  },
}
