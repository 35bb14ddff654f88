/** Compiled functions: traced once for each kind of arguments, run as one call into the machine. */
import { checkPrecision, type DType, dtypeOf, type Precision, type TypedArray } from '../base/dtype.ts'
import { ConfigError, checkOptions } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import {
  type ArgumentType,
  type Assignment,
  type Device,
  defaultDevice,
  type Explanation,
  onDefaultDevice,
  type PlannedMemory,
  Program,
} from '../engine/index.ts'
import { inputNode } from '../graph/node.ts'
import { realize, Tensor } from './tensor.ts'
import { currentTrace, type Guard, Trace, withTrace } from './trace.ts'

/** What a compiled function may return: tensors, alone or in arrays and records. */
export type Tree = Tensor | undefined | readonly Tree[] | { readonly [name: string]: Tree }

/** Programs of a function that are kept, those that ran last: beyond that the oldest is traced again when it is needed. */
const mostPrograms = 64

interface Compiled {
  /** Of the arguments it was traced for. */
  readonly key: string
  readonly device: Device
  readonly guards: readonly Guard[]
  readonly program: Program
  readonly rebuild: (results: readonly Tensor[]) => unknown
}

/** A compiled function takes the tensors its original takes and promises what it returns. */
export interface CompiledFunction<A extends readonly Tensor[], R> {
  (...args: A): Promise<R>
  /**
   * What a call takes in memory: traces and plans, but computes and reserves nothing. A call with such arguments uses the
   * same plan.
   * @param types shape and dtype of each argument, or arguments themselves
   */
  memory(...types: { [I in keyof A]: ArgumentType }): Promise<PlannedMemory>
  /**
   * What every kernel call of the program for these arguments costs: why it is computed as it is, arithmetic, memory,
   * time. The program runs a few times, in one piece and call by call; Variables keep their values.
   * `printExplanation` shows it as a table.
   * @example
   * console.log(printExplanation(await step.explain(images, labels)).join('\n'))
   */
  explain(...args: A): Promise<Explanation>
}

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
  /** All of them, the one that ran last at the end. */
  const recent = new Set<Compiled>()
  let latest: Compiled | undefined
  const used = (compiled: Compiled): Compiled => {
    if (compiled === latest) return compiled
    latest = compiled
    recent.delete(compiled)
    recent.add(compiled)
    return compiled
  }
  const drop = (compiled: Compiled): void => {
    recent.delete(compiled)
    const others = programs.get(compiled.key)?.filter((other) => other !== compiled) ?? []
    if (others.length > 0) programs.set(compiled.key, others)
    else programs.delete(compiled.key)
    // A call that found it before it was dropped runs first, or takes memory anew until the collector comes.
    void compiled.device.exclusive(async () => compiled.program.release())
  }
  let tracing: Promise<unknown> = Promise.resolve()
  const call = async (...args: A): Promise<R> => {
    if (currentTrace() !== undefined) return f(...args)
    checkArguments(args)
    // Arguments are read from the host; what was assigned outside must be stored before the program reads it.
    await realize(...args)
    return onDefaultDevice(async (device) => {
      const compiled = await ready(device, args)
      const results = await compiled.program.run(await valuesOf(args))
      const { outputs } = compiled.program.plan
      const tensors = results.map((data, i) => settled(data, outputs[i].shape, outputs[i].dtype))
      return compiled.rebuild(tensors) as R
    })
  }
  /** The program for such arguments, traced when there is none yet. */
  const ready = async (device: Device, types: readonly ArgumentType[]): Promise<Compiled> => {
    const key = types.map(({ dtype, shape }) => `${dtype}[${shape}]`).join()
    const onDevice = () => (programs.get(key) ?? []).filter((c) => c.device === device)
    const find = () => onDevice().find((c) => c.guards.every(({ read, value }) => Object.is(read(), value)))
    const findOrTrace = async () => {
      const found = find()
      if (found !== undefined) return used(found)
      const traced = await traceFunction(f, types, device, precision, key)
      // Those of a device that computed before are left to the collector.
      for (const other of programs.get(key) ?? []) if (other.device !== device) recent.delete(other)
      programs.set(key, [...onDevice(), traced])
      used(traced)
      for (const oldest of recent) if (recent.size > mostPrograms) drop(oldest)
      return traced
    }
    const found = find()
    if (found !== undefined) return used(found)
    // One after the other, so that calls made at once share what the first of them traces.
    const turn = tracing.then(findOrTrace)
    tracing = turn.catch(() => undefined)
    return turn
  }
  const memory = async (...types: readonly ArgumentType[]): Promise<PlannedMemory> => {
    await realize()
    return (await ready(await defaultDevice(), types)).program.memory(types)
  }
  const explain = async (...args: A): Promise<Explanation> => {
    checkArguments(args)
    await realize(...args)
    return onDefaultDevice(async (device) => {
      const { program } = await ready(device, args)
      // What a program that only runs does not load.
      const { explainProgram } = await import('../engine/explain-program.ts')
      return explainProgram(program, await valuesOf(args))
    })
  }
  return Object.assign(call, { memory, explain })
}

function checkArguments(args: readonly unknown[]): void {
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
}

async function valuesOf(args: readonly Tensor[]): Promise<TypedArray[]> {
  const values: TypedArray[] = []
  for (const arg of args) values.push(typed(await arg.data(), arg.dtype))
  return values
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
  args: readonly ArgumentType[],
  device: Device,
  precision: Precision,
  key: string,
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
  const program = await Program.plan(device, nodes, assignments, precision)
  return { key, device, guards: trace.guards, program, rebuild }
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
