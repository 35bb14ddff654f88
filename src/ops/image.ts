/**
 * Pictures bent and recoloured in a training step, each by a matrix of its own. They are data, never something that is
 * learned: these ops have no gradient, and none passes through them.
 */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { showShape, sizeOf } from '../base/shape.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { KernelOp } from '../graph/op.ts'
import { type WarpBorder, warpCall, warpShape, warpSpec } from '../kernel/builders/affine-warp.ts'
import { colorMatrixCall, colorMatrixSpec } from '../kernel/builders/color-matrix.ts'
import { checkDType, checkFilled, type NoAttributes, noAttributes } from './operands.ts'

type PixelType = 'u8' | 'f32'

/** @throws DTypeError, ShapeError unless `x` holds pictures and there is a matrix [batch, …] for each */
function checkPictures(
  where: string,
  x: Node,
  matrix: Node,
  channels: number | undefined,
  last: readonly number[],
): void {
  checkDType(where, 'x', x, ['f32', 'u8'])
  checkDType(where, 'matrix', matrix, ['f32'])
  checkFilled(where, 'x', x)
  const expected = ['batch', 'height', 'width', channels ?? 'channels'].join(', ')
  if (x.shape.length !== 4 || (channels !== undefined && x.shape[3] !== channels)) {
    throw new ShapeError({
      where,
      what: 'x does not hold pictures',
      got: `x ${showShape(x.shape)}`,
      expected: `[${expected}]`,
      fix: 'reshape x; one picture has a batch axis of 1',
    })
  }
  const shape = [x.shape[0], ...last]
  if (matrix.shape.join() === shape.join()) return
  throw new ShapeError({
    where,
    what: 'there is not one matrix for each picture',
    got: `x ${showShape(x.shape)}, matrix ${showShape(matrix.shape)}`,
    expected: `matrix ${showShape(shape)}`,
    fix: 'reshape the matrix, or repeat one with broadcastTo',
  })
}

interface WarpAttributes {
  readonly border: WarpBorder
  readonly fill: number
}

// y[i, j] = x at the place matrix · (j - centre, i - centre, 1), between its four pixels
export const affineWarpOp: KernelOp<WarpAttributes> = {
  name: 'affineWarp',
  kind: 'kernel',
  gradient: 'none',
  infer([x, matrix]) {
    checkPictures('affineWarp', x, matrix, undefined, [6])
    return { shape: x.shape, dtype: 'f32' }
  },
  algorithms: [
    {
      name: 'bilinear',
      applies: () => true,
      cost: (node) => 16 * sizeOf(node.shape),
      // Places are off by roundings of the extent.
      tolerance: 1e-5,
      build(node, [x, matrix], epilogue, context) {
        const [images, height, width, channels] = node.shape
        const { border, fill } = node.attributes
        const spec = warpSpec(warpShape(node.inputs[0].dtype as PixelType, channels, border))
        const call = warpCall({ images, height, width, channels, fill })
        context.call({ spec, spans: [x.span, matrix.span, epilogue.outputs[0]], ...call })
      },
    },
  ],
}

export interface AffineWarpOptions {
  /**
   * What stands outside the picture: a number in units of the result, `'edge'` for the nearest pixel, `'reflect'` for
   * the picture mirrored at the centres of its outermost pixels. Default 0.
   */
  readonly fill?: number | 'edge' | 'reflect'
}

/**
 * Turns, shifts, scales, shears or mirrors pictures, each by a matrix of its own, interpolating bilinearly.
 *
 * Places are measured in pixels from the middle of the picture, x to the right and y down: the centre of the pixel in
 * row i and column j of a picture [height, width] is x = j - (width - 1) / 2, y = i - (height - 1) / 2. The matrix leads
 * from the place of an output pixel to the place in the input whose value it gets:
 * x' = m₀ x + m₁ y + m₂, y' = m₃ x + m₄ y + m₅. So [1, 0, 0, 0, 1, 0] copies, and so do, exactly, shifts by whole
 * pixels, mirrored axes and quarter turns of squares. Nothing is averaged over more than four pixels, so pictures shrunk
 * to less than half show aliasing.
 *
 * There is no gradient: none with respect to the picture, none with respect to the matrix.
 * @param x u8 or f32 [batch, height, width, channels]; u8 is scaled to [0, 1], as a model does
 * @param matrix f32 [batch, 6]
 * @returns f32 of the shape of x
 * @throws ShapeError, DTypeError, ConfigError on a fill that is none
 */
export function affineWarp(x: Node, matrix: Node, options: AffineWarpOptions = {}): Node {
  const { fill = 0 } = options
  if (fill !== 'edge' && fill !== 'reflect' && !(typeof fill === 'number' && Number.isFinite(fill))) {
    throw new ConfigError({
      where: 'affineWarp',
      what: 'fill makes no sense',
      got: typeof fill === 'string' ? `'${fill}'` : String(fill),
      expected: "a finite number, 'edge' or 'reflect'",
      fix: 'use for instance 0',
    })
  }
  const attributes = typeof fill === 'number' ? { border: 'constant' as const, fill } : { border: fill, fill: 0 }
  return makeNode(affineWarpOp, [x, matrix], attributes)
}

// y = M · (x, 1), held in [0, 1]
export const colorMatrixOp: KernelOp<NoAttributes> = {
  name: 'colorMatrix',
  kind: 'kernel',
  gradient: 'none',
  infer([x, matrix]) {
    checkPictures('colorMatrix', x, matrix, 3, [3, 4])
    return { shape: x.shape, dtype: 'f32' }
  },
  algorithms: [
    {
      name: 'pixels',
      applies: () => true,
      cost: (node) => 4 * sizeOf(node.shape),
      tolerance: 1e-6,
      build(node, [x, matrix], epilogue, context) {
        const [images, height, width] = node.shape
        const spec = colorMatrixSpec(node.inputs[0].dtype as PixelType)
        const call = colorMatrixCall(images, height * width)
        context.call({ spec, spans: [x.span, matrix.span, epilogue.outputs[0]], ...call })
      },
    },
  ],
}

/**
 * New colours as linear functions of the old ones, by a matrix for each picture: result r = M[r] · (red, green, blue, 1),
 * held in [0, 1]. There is no gradient.
 * @param x u8 or f32 [batch, height, width, 3]; u8 is scaled to [0, 1], as a model does
 * @param matrix f32 [batch, 3, 4]
 * @returns f32 of the shape of x
 * @throws ShapeError, DTypeError
 */
export function colorMatrix(x: Node, matrix: Node): Node {
  return makeNode(colorMatrixOp, [x, matrix], noAttributes)
}
