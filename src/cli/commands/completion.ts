/** `juanji completion`: a script that teaches a shell to complete our command lines. */
import type { Command } from 'commander'
import { type CommonOptions, type Runner, type Task, unknownName, withCommonOptions } from '../command.ts'
import { completionScript, shells } from '../completion/index.ts'

export function addCompletion(program: Command, run: Runner): void {
  const command = program
    .command('completion')
    .summary('let the shell complete commands, options and names')
    .description(
      'Print a script that lets a shell complete commands, options and the names they take. For fish the first example is ' +
        'run once, and again after an update; the others stand in ~/.bashrc, in ~/.zshrc behind compinit, and in $PROFILE, ' +
        'and are up to date by themselves.',
    )
    .argument('<shell>', shells.join(', '))
  withCommonOptions(command, [
    'juanji completion fish > ~/.config/fish/completions/juanji.fish',
    'source <(juanji completion bash)',
    'source <(juanji completion zsh)',
    'juanji completion powershell | Out-String | Invoke-Expression',
  ])
  command.action((name: string, options: CommonOptions) => run(options, (task) => complete(task, program, name)))
}

async function complete({ terminal }: Task, program: Command, name: string): Promise<void> {
  const shell = shells.find((known) => known === name)
  if (shell === undefined) throw unknownName('shell', name, shells)
  const script = completionScript(program, shell)
  terminal.data(script)
  terminal.event({ event: 'done', shell, script })
}
