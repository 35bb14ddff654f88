import type { Identities } from '../schedule/index.ts'

const numbers = new WeakMap<object, number>()
let next = 0

/** Ops, Variables, functions and arrays keep their numbers for as long as they live. */
export const lasting = {
  of(object: object): number {
    let number = numbers.get(object)
    if (number === undefined) {
      number = next++
      numbers.set(object, number)
    }
    return number
  },
} as Identities
