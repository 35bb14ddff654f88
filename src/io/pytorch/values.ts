/** What a pickle holds: Python's values as plain data. */

/** `None` is null; whole numbers that a number does not hold are bigint. */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyTuple
  | PyList
  | PySet
  | PyDict
  | PyGlobal
  | PyObject

export class PyTuple {
  readonly items: readonly PyValue[]
  constructor(items: readonly PyValue[]) {
    this.items = items
  }
}
export class PyList {
  readonly items: PyValue[]
  constructor(items: PyValue[]) {
    this.items = items
  }
}
export class PySet {
  readonly items: PyValue[]
  constructor(items: PyValue[]) {
    this.items = items
  }
}
/** Keys that are texts or numbers are equal by value, others each for itself. */
export class PyDict {
  readonly map = new Map<PyValue, PyValue>()
}
/** A function or class by name. It is never looked up anywhere. */
export class PyGlobal {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}
/** What rules make of something; the machine only carries it. */
export class PyObject {
  readonly type: string
  constructor(type: string) {
    this.type = type
  }
}

/** A text for messages. */
export const shorten = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text)

/** What a value is, for messages. */
export function kindOf(value: PyValue): string {
  if (value === null) return 'None'
  if (value instanceof PyGlobal) return value.name
  if (value instanceof PyObject) return value.type
  if (value instanceof PyDict) return `a dict of ${value.map.size}`
  if (value instanceof PyTuple) return `a tuple of ${value.items.length}`
  if (value instanceof PyList) return `a list of ${value.items.length}`
  if (value instanceof PySet) return 'a set'
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'string' ? shorten(value) : String(value)
}
