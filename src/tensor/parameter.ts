/** Values that outlive programs, as users hold them: parameters, running statistics, optimizer slots. */
import type { TypedArray } from '../base/dtype.ts'
import { ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { Device } from '../engine/index.ts'
import { type InitialValues, type Node, Variable, variableNode } from '../graph/node.ts'
import { where } from './functions.ts'
import { realize, Tensor } from './tensor.ts'
import { assign, assignedVariables, guarded } from './trace.ts'

export type { Fill, InitialValues } from '../graph/node.ts'

export class State {
  readonly variable: Variable

  /**
   * @param name the path in files and messages
   * @param initial the first values, or a function that begins to make them when they are first needed
   */
  constructor(name: string, shape: Shape, initial: InitialValues, dtype: 'f32' | 'i32' = 'f32') {
    this.variable = new Variable(name, shape, dtype, initial)
  }

  get name(): string {
    return this.variable.name
  }
  get shape(): Shape {
    return this.variable.shape
  }
  get size(): number {
    return this.variable.size
  }

  /** The value at this point, to compute with. */
  get value(): Tensor {
    return new Tensor(variableNode(this.variable))
  }

  /** The value from here on. Inside compile() it is stored when the program ends. @throws ShapeError on another shape */
  assign(value: Tensor): void {
    if (value.shape.length !== this.shape.length || value.shape.some((extent, axis) => extent !== this.shape[axis])) {
      throw new ShapeError({
        where: `assign "${this.name}"`,
        what: 'the value has another shape',
        got: showShape(value.shape),
        expected: showShape(this.shape),
        fix: 'reshape or broadcast the value',
      })
    }
    assign(this.variable, value.node)
  }

  /** A copy of the stored values. */
  async data(): Promise<TypedArray> {
    await realize()
    return Device.read(this.variable)
  }

  /** Replaces the stored values. @throws ShapeError when their number differs */
  async load(values: TypedArray): Promise<void> {
    if (values.length !== this.size) {
      throw new ShapeError({
        where: `load "${this.name}"`,
        what: 'the number of values differs',
        got: `${values.length} values`,
        expected: `${this.size}, shape ${showShape(this.shape)}`,
        fix: 'load the file into the model it was saved from',
      })
    }
    await realize()
    await Device.write(this.variable, values)
  }
}

/**
 * Makes everything that was assigned in this step so far depend on a condition: where it does not hold, the old values
 * stay. A step can so look at its own loss and gradients before it believes them.
 * @param condition bool, one value
 * @throws ShapeError when the condition has several values, DTypeError when it is not bool
 */
export function assignIf(condition: Tensor): void {
  const one = condition.reshape([])
  for (const variable of assignedVariables()) {
    const value = new Tensor(variable.pending as Node)
    variable.pending = undefined
    const before = new Tensor(variableNode(variable))
    assign(variable, where(one, value, before).node)
  }
}

/** A State that training changes. */
export class Parameter extends State {
  /** Frozen parameters get no gradient and are not updated. */
  trainable = true
  /** Whether optimizers decay it; off for biases and for the scale and shift of norms. */
  decays: boolean

  constructor(name: string, shape: Shape, initial: InitialValues, decays = shape.length > 1) {
    super(name, shape, initial)
    this.decays = decays
  }

  get isTrainable(): boolean {
    return guarded(() => this.trainable)
  }
}
