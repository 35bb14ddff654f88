export { algebraOf, type TileOutputs } from './algebra.ts'
export { winogradBlocks, winogradCall, winogradSpec } from './conv.ts'
export {
  gradientBlocks,
  gradientProductsCall,
  gradientProductsSpec,
  gradientSizes,
  gradientTilesCall,
  gradientTilesSpec,
} from './weight-gradient.ts'
export { weightCall, weightSpec } from './weights.ts'
