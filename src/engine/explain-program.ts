import type { TypedArray } from '../base/dtype.ts'
import { type Explanation, explainProfile } from './explain.ts'
import { profileProgram } from './profile.ts'
import type { Program } from './program.ts'

/** Runs every call of a program by itself and says what it costs, and what holds it back. */
export async function explainProgram(program: Program, values: readonly TypedArray[]): Promise<Explanation> {
  return explainProfile(await profileProgram(program, values))
}
