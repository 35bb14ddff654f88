export { type ConvGeometry, convCall, convSpec, needsBorder, runsTogether } from './conv.ts'
export { type EpilogueOperandShape, type EpilogueShape, plainStore } from './epilogue.ts'
export { foldCall, foldSpec } from './fold.ts'
export { type LeftForm, longestRun, matmulCall, matmulSpec, piecesOf } from './matmul.ts'
export { elementOf, type OperandForm } from './operand-form.ts'
export { type PackedOperand, type PackForm, packCall, packing, packSpec } from './pack.ts'
export { pairImagesCall, pairImagesSpec } from './pair-images.ts'
export { scatterCall, scatterShape, scatterSpec, scatterTile, scatterVectors } from './scatter.ts'
export { columnsOf, gradientTile, type TileSize, wideTile } from './tile.ts'
export {
  packsUpstream,
  padCall,
  padSpec,
  tapsApart,
  weightGradientCall,
  weightGradientPieces,
  weightGradientSpec,
} from './weight-gradient.ts'
