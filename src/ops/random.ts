/**
 * Random numbers as a function of a key, a stream and the place in the result: Threefry-2x32, so that the same key
 * draws the same numbers on every backend and however often they are computed.
 */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { constantNode, makeNode, type Node } from '../graph/node.ts'
import type { MapOp } from '../graph/op.ts'
import * as e from '../kernel/expression.ts'
import * as math from '../kernel/math.ts'
import { threefry, uniform } from '../kernel/random.ts'
import { broadcastTo, squeeze } from './broadcast.ts'
import { greaterEqual, like, mul, select } from './elementwise.ts'
import { checkDType, checkFilled, checkShape } from './operands.ts'
import { slice } from './shape-ops.ts'

interface RandomAttributes {
  /** Tells apart what draws under one key: layers, for instance. */
  readonly stream: number
}

type Lower = MapOp<RandomAttributes>['lower']

function randomOp(
  name: string,
  value: (k: Parameters<Lower>[0], words: ReturnType<typeof threefry>) => e.Operand,
): MapOp<RandomAttributes> {
  return {
    name,
    kind: 'map',
    usesIndex: true,
    gradient: 'none',
    infer: ([first]) => ({ shape: first.shape, dtype: 'f32' }),
    lower(k, [key0, key1], { stream }, context) {
      const words = threefry(k, key0, key1, context.index(), e.constant('i32', stream | 0, context.lanes))
      return value(k, words) as ReturnType<typeof e.int>
    },
  }
}

// y = first word of threefry(key, (place, stream)) as a number in [0, 1)
export const randomUniformOp = randomOp('randomUniform', (_k, [word]) => uniform(word))

// y = √(-2 ln(1 - u)) · cos(2πv) with u, v from both words (Box and Muller 1958)
export const randomNormalOp = randomOp('randomNormal', (k, [first, second]) => {
  const u = k.let(e.sub(1, uniform(first)))
  const angle = k.let(e.mul(uniform(second), 2 * Math.PI))
  return e.mul(e.sqrt(k.let(e.mul(math.log(k, u), -2))), math.cos(k, angle))
})

function draw(op: MapOp<RandomAttributes>, shape: Shape, key: Node, stream: number): Node {
  checkShape(op.name, shape)
  checkDType(op.name, 'key', key, ['i32'])
  if (key.shape.length !== 1 || key.shape[0] !== 2) {
    throw new ShapeError({
      where: op.name,
      what: 'the key has not two words',
      got: `key ${showShape(key.shape)}`,
      expected: 'key [2]: a word made of the seed, and the step',
      fix: 'give an i32 tensor of two elements',
    })
  }
  if (!Number.isInteger(stream)) {
    throw new ConfigError({
      where: op.name,
      what: 'the stream makes no sense',
      got: String(stream),
      expected: 'a whole number',
      fix: 'number the layers',
    })
  }
  const word = (i: number) => broadcastTo(squeeze(slice(key, [[i, i + 1]]), 0), shape)
  return makeNode(op, [word(0), word(1)], { stream })
}

/**
 * Uniform in [0, 1).
 * @param key i32 [2]: a word made of the seed, and the step
 * @param stream whole number that tells apart what draws under one key
 * @throws ShapeError, DTypeError, ConfigError
 */
export function randomUniform(shape: Shape, key: Node, stream: number): Node {
  return draw(randomUniformOp, shape, key, stream)
}

/** Normal with mean 0 and deviation 1; parameters as of {@link randomUniform}. @throws ShapeError, DTypeError, ConfigError */
export function randomNormal(shape: Shape, key: Node, stream: number): Node {
  return draw(randomNormalOp, shape, key, stream)
}

/**
 * Zeros in a share `rate` of the places, the rest scaled by 1 / (1 - rate) (Srivastava et al. 2014).
 * @param rate in [0, 1)
 * @throws ConfigError, ShapeError, DTypeError
 */
export function dropout(x: Node, rate: number, key: Node, stream: number): Node {
  if (!(rate >= 0 && rate < 1)) {
    throw new ConfigError({
      where: 'dropout',
      what: 'the rate makes no sense',
      got: String(rate),
      expected: 'a share in [0, 1)',
      fix: 'use for instance 0.5',
    })
  }
  checkDType('dropout', 'x', x, ['f32'])
  checkFilled('dropout', 'x', x)
  if (rate === 0) return x
  const kept = greaterEqual(randomUniform(x.shape, key, stream), broadcastTo(constantNode(rate), x.shape))
  return select(kept, mul(x, like(x, 1 / (1 - rate))), like(x, 0))
}
