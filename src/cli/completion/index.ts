export { type Shell, shells } from './spec.ts'

import type { Command } from 'commander'
import { bashScript } from './bash.ts'
import { fishScript } from './fish.ts'
import { powershellScript } from './powershell.ts'
import { type CompletionSpec, readSpec, type Shell } from './spec.ts'
import { zshScript } from './zsh.ts'

const scripts: Readonly<Record<Shell, (spec: CompletionSpec) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  powershell: powershellScript,
}

/**
 * A script that teaches a shell to complete the command lines of a program. It is static: it costs nothing but reading it
 * when the shell starts, and knows the commands, options and names of the version that printed it.
 */
export function completionScript(program: Command, shell: Shell): string {
  return scripts[shell](readSpec(program))
}
