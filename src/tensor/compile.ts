/** Compiled functions: traced once for each kind of arguments, run as one call into the machine. */
import { checkPrecision, type DType, dtypeOf, type Precision, type TypedArray } from '../base/dtype.ts'
import { ConfigError, checkOptions } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import { type Assignment, type Device, onDefaultDevice, Program } from '../engine/index.ts'
import { inputNode } from '../graph/node.ts'
import { realize, Tensor } from './tensor.ts'
import { currentTrace, type Guard, Trace, withTrace } from './trace.ts'

/** What a compiled function may return: tensors, alone or in arrays and records. */
export type Tree = Tensor | undefined | readonly Tree[] | { readonly [name: string]: Tree }

interface Compiled {
  readonly device: Device
  readonly guards: readonly Guard[]
  readonly program: Program
  readonly rebuild: (results: readonly Tensor[]) => unknown
}

/** A compiled function takes the tensors its original takes and promises what it returns. */
export type CompiledFunction<A extends readonly Tensor[], R> = (...args: A) => Promise<R>

export interface CompileOptions {
  /**
   * `'f32'` (default), or `'bf16'`: activations and their gradients lie in memory as bf16, and convolutions and matrix
   * products multiply bf16 and add up in f32. Variables, their updates, statistics, losses, gradients of weights and
   * results stay f32; so does what an op can do in f32 alone. Half the memory, about 3 significant digits an activation.
   */
  readonly precision?: Precision
}

/**
 * Compiles a function of tensors. It is traced when it meets arguments of new shapes or dtypes, or when something it
 * depends on has changed, such as a model's mode; a new batch size reuses all kernels. Variables assigned inside are
 * stored when the program ends.
 * @returns a function that runs the whole computation as one call and resolves to tensors that hold their values
 * @throws ConfigError when an argument is no tensor, or on an unknown option
 * @example
 * const step = compile((x: Tensor, y: Tensor) => crossEntropy(model(x), y))
 * const loss = await step(images, labels)
 */
export function compile<A extends readonly Tensor[], R extends Tree>(
  f: (...args: A) => R,
  options: CompileOptions = {},
): CompiledFunction<A, R> {
  checkOptions('compile', options, ['precision'])
  const { precision = 'f32' } = options
  checkPrecision('compile', precision)
  const programs = new Map<string, Compiled[]>()
  let tracing: Promise<unknown> = Promise.resolve()
  return async (...args) => {
    if (currentTrace() !== undefined) return f(...args)
    for (const [i, arg] of args.entries()) {
      if (arg instanceof Tensor) continue
      throw new ConfigError({
        where: 'compile',
        what: `argument ${i} is no tensor`,
        got: typeof arg,
        expected: 'tensors only: other values become part of the program',
        fix: 'wrap it in tensor(), or let the function capture it',
      })
    }
    // Arguments are read from the host; what was assigned outside must be stored before the program reads it.
    await realize(...args)
    return onDefaultDevice((device) => runOn(device, args))
  }

  async function runOn(device: Device, args: A): Promise<R> {
    const key = args.map((arg) => `${arg.dtype}[${arg.shape}]`).join()
    const onDevice = () => (programs.get(key) ?? []).filter((c) => c.device === device)
    const find = () => onDevice().find((c) => c.guards.every(({ read, value }) => Object.is(read(), value)))
    const findOrTrace = async () => {
      const found = find()
      if (found !== undefined) return found
      const traced = await traceFunction(f, args, device, precision)
      programs.set(key, [...onDevice(), traced])
      return traced
    }
    let compiled = find()
    if (compiled === undefined) {
      // One after the other, so that calls made at once share what the first of them traces.
      const turn = tracing.then(findOrTrace)
      tracing = turn.catch(() => undefined)
      compiled = await turn
    }
    const inputs: TypedArray[] = []
    for (const arg of args) inputs.push(typed(await arg.data(), arg.dtype))
    const results = await compiled.program.run(inputs)
    const { outputs } = compiled.program.plan
    const tensors = results.map((data, i) => settled(data, outputs[i].shape, outputs[i].dtype))
    return compiled.rebuild(tensors) as R
  }
}

/** A Float64Array stands for f32 too; the program tells dtypes by the array's class. */
function typed(data: TypedArray, dtype: DType): TypedArray {
  return dtypeOf(data) === dtype || dtype === 'bool' ? data : Float32Array.from(data)
}

function settled(data: TypedArray, shape: Shape, dtype: DType): Tensor {
  const result = new Tensor(inputNode(0, shape, dtype))
  result.settle(data)
  return result
}

async function traceFunction<A extends readonly Tensor[], R extends Tree>(
  f: (...args: A) => R,
  args: A,
  device: Device,
  precision: Precision,
): Promise<Compiled> {
  const trace = new Trace()
  const inputs = args.map((arg, i) => new Tensor(inputNode(i, arg.shape, arg.dtype)))
  const outputs: Tensor[] = []
  let rebuild: Compiled['rebuild']
  let assignments: Assignment[]
  try {
    const result = withTrace(trace, () => f(...(inputs as unknown as A)))
    rebuild = flatten(result, outputs)
    assignments = withTrace(trace, () => trace.finish())
  } catch (error) {
    trace.abandon()
    throw error
  }
  const nodes = outputs.map((t) => t.node)
  return { device, guards: trace.guards, program: await Program.plan(device, nodes, assignments, precision), rebuild }
}

/** Collects the tensors of a result and returns how to put others in their places. */
function flatten(tree: Tree, into: Tensor[]): (results: readonly Tensor[]) => unknown {
  if (tree === undefined) return () => undefined
  if (tree instanceof Tensor) {
    const i = into.push(tree) - 1
    return (results) => results[i]
  }
  if (Array.isArray(tree)) {
    const parts = tree.map((part) => flatten(part, into))
    return (results) => parts.map((part) => part(results))
  }
  if (typeof tree === 'object' && !('then' in tree)) {
    const parts = Object.entries(tree).map(([name, part]) => [name, flatten(part as Tree, into)] as const)
    return (results) => Object.fromEntries(parts.map(([name, part]) => [name, part(results)]))
  }
  throw new ConfigError({
    where: 'compile',
    what: 'the function returns something that is no tensor',
    got: typeof tree === 'object' ? 'a promise' : typeof tree,
    expected: 'tensors, alone or in arrays and records',
    fix: 'return tensors; a compiled function must not be async, read its values from the compiled one',
  })
}
