import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { juanji } from '../../../test/command-line.ts'
import { openScreen } from '../../../test/screen.ts'
import { hasSessions, Session } from '../../../test/session.ts'
import { models } from '../../index.ts'
import { datasetNames } from '../data-choice.ts'
import { makeProgram } from '../program.ts'
import { completionScript, type Shell, shells } from './index.ts'
import { readSpec } from './spec.ts'

const architectures = Object.keys(models.architectures)
const program = makeProgram(openScreen(80, 24).io, { begun: false, verbose: false, json: false })
const commandNames = [
  'train',
  'evaluate',
  'predict',
  'summary',
  'explain',
  'convert',
  'bench',
  'doctor',
  'completion',
  'help',
]

const has = (command: string) => spawnSync(command, ['--version']).status === 0
/** Shells that are here; the others' tests say why they are skipped. */
const present = { bash: has('bash'), zsh: has('zsh'), fish: has('fish'), powershell: has('pwsh') }
const why = (shell: Shell) => (present[shell] ? '' : ' (skipped: the shell is not installed)')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'juanji-completion-'))
  for (const shell of shells) writeFileSync(join(folder, shell), completionScript(program, shell))
  mkdirSync(join(folder, 'here', 'a folder'), { recursive: true })
  writeFileSync(join(folder, 'here', 'a file.png'), '')
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('what there is to complete', () => {
  const spec = readSpec(program)

  test('all commands, with help', () => {
    expect(spec.commands.map(({ name }) => name)).toEqual(['', ...commandNames])
    for (const { options, name } of spec.commands) {
      if (name !== 'help') expect(options.flatMap(({ flags }) => flags)).toContain('--help')
    }
  })

  test('every option that takes a name lists its names', () => {
    const unnamed = spec.commands.flatMap(({ name, options }) =>
      options
        .filter(({ value }) => value?.label === 'name' && value.names.length === 0)
        .map(({ flags }) => `${name} ${flags}`),
    )
    expect(unnamed).toEqual([])
  })

  const names = (command: string, what: string) => {
    const { options, values } = spec.commands.find(({ name }) => name === command)!
    return (options.find(({ flags }) => flags.includes(what))?.value ?? values.find(({ label }) => label === what))!
      .names
  }

  // A wrong name is refused with all that are known; the list must be the same.
  test.each([
    ['train', '--arch', ['train', 'digits', '--arch', '?']],
    ['train', '--optimizer', ['train', 'digits', '--optimizer', '?']],
    ['train', '--lr-schedule', ['train', 'digits', '--lr-schedule', '?']],
    ['bench', '--work', ['bench', '--work', '?']],
    ['bench', '--set', ['bench', '--set', '?']],
    ['bench', '--backend', ['bench', '--backend', '?']],
    ['explain', 'what', ['explain', '?']],
    ['summary', 'model', ['summary', '?']],
    ['completion', 'shell', ['completion', '?']],
  ])('%s knows the same names for %s as the command', async (command, what, argv) => {
    const { code, err } = await juanji(argv)
    expect(code).toBe(2)
    expect(err).toContain(`\n  expected  ${names(command, what).join(', ')}\n`)
  })
})

test('the command prints the script, and nothing else', async () => {
  for (const shell of shells) {
    expect(await juanji(['completion', shell])).toEqual({ code: 0, out: completionScript(program, shell), err: '' })
  }
})

describe.skipIf(!present.bash)(`bash${why('bash')}`, () => {
  /** What bash would offer for the last of these words, and whether it would go on with paths. */
  function complete(...words: string[]): { names: string[]; paths: string } {
    const script = `
      compopt() { printf 'paths=%s\\n' "$*"; }
      source ${join(folder, 'bash')}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _juanji
      printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, 'bash', ...words], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const lines = stdout.split('\n').filter((line) => line !== '')
    return {
      names: lines.filter((line) => !line.startsWith('paths=')),
      paths: lines.find((line) => line.startsWith('paths='))?.slice(6) ?? '',
    }
  }

  test('commands, options, names and paths', () => {
    expect(complete('juanji', '').names).toEqual(commandNames)
    expect(complete('juanji', 'tr')).toEqual({ names: ['train'], paths: '' })
    expect(complete('juanji', '--v')).toEqual({ names: ['--version'], paths: '' })
    expect(complete('juanji', 'train', '--ar')).toEqual({ names: ['--arch'], paths: '' })
    expect(complete('juanji', 'train', '--arch', '').names).toEqual(architectures)
    expect(complete('juanji', 'train', '--arch', '=').names).toEqual(architectures)
    expect(complete('juanji', 'train', '--arch', '=', 're')).toEqual({
      names: architectures.filter((name) => name.startsWith('re')),
      paths: '',
    })
    expect(complete('juanji', 'train', '--epochs', '')).toEqual({ names: [], paths: '' })
    expect(complete('juanji', 'train', '--epochs', '3', 'mn')).toEqual({ names: ['mnist'], paths: '-o plusdirs' })
    expect(complete('juanji', 'train', '--arch', '=', 'resnet8', '--json', 'mn').names).toEqual(['mnist'])
    expect(complete('juanji', 'train', 'digits', '')).toEqual({ names: [], paths: '' })
    expect(complete('juanji', 'train', '--out', 'r')).toEqual({ names: [], paths: '-o plusdirs' })
    expect(complete('juanji', 'predict', 'runs/')).toEqual({ names: [], paths: '-o default' })
    expect(complete('juanji', 'convert', 'a.onnx', '')).toEqual({ names: [], paths: '-o default' })
    expect(complete('juanji', 'predict', 'm', '-', 'b.png', 'c')).toEqual({ names: [], paths: '-o default' })
    expect(complete('juanji', 'predict', '--', '--to')).toEqual({ names: [], paths: '-o default' })
    expect(complete('juanji', 'help', 'ev').names).toEqual(['evaluate'])
    expect(complete('juanji', 'nothing', '')).toEqual({ names: [], paths: '' })
  })

  test.skipIf(!hasSessions)('in a real bash, with blanks in paths', async () => {
    const session = new Session('bash --norc --noprofile -i')
    session.press(
      `PS1='ready> '; bind 'set enable-bracketed-paste off'; source ${join(folder, 'bash')}; cd ${join(folder, 'here')}\n`,
    )
    await session.shows(/^ready> *$/m)
    session.press('juanji pre\t')
    await session.shows(/juanji predict *$/m)
    session.press('model a\\ fi\t')
    await session.shows(/predict model a\\ file\.png/)
    session.press('\u0015juanji train --back\ti\t')
    await session.shows(/train --backend interpret/)
    session.press('\u0015juanji evaluate a\\ fo\t')
    await session.shows(/evaluate a\\ folder\//)
    session.press('\u0015exit\n')
    await session.end()
  })
})

describe.skipIf(!present.fish)(`fish${why('fish')}`, () => {
  function complete(line: string): string[] {
    const script = `source ${join(folder, 'fish')}; cd ${join(folder, 'here')}; complete -C ${JSON.stringify(line)}`
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' })
    expect(stderr).toBe('')
    return stdout.split('\n').filter((text) => text !== '')
  }
  const names = (line: string) => complete(line).map((text) => text.split('\t')[0])

  test('commands, options, names and paths', () => {
    expect(names('juanji ')).toEqual([...commandNames].sort())
    expect(complete('juanji summ')).toEqual(["summary\tshow a network's layers"])
    expect(names('juanji train --ar')).toEqual(['--arch'])
    expect(names('juanji train --arch ').sort()).toEqual(architectures.toSorted())
    const residual = architectures.filter((name) => name.startsWith('re'))
    expect(names('juanji train --arch=re').sort()).toEqual(residual.map((name) => `--arch=${name}`).sort())
    expect(names('juanji train --epochs ')).toEqual([])
    expect(names('juanji train --epochs 3 ')).toEqual([...datasetNames, 'a folder/'].sort())
    expect(names('juanji train digits ')).toEqual([])
    expect(names('juanji train --out ')).toEqual(['a folder/'])
    expect(names('juanji predict ')).toEqual(['a file.png', 'a folder/'])
    expect(names('juanji predict m ')).toEqual(['a file.png', 'a folder/'])
    expect(names('juanji predict m - x.png a')).toEqual(['a file.png', 'a folder/'])
    expect(names('juanji help ev')).toEqual(['evaluate'])
  })
})

describe.skipIf(!present.zsh || !hasSessions)(`zsh${why('zsh')}`, () => {
  test('commands, options, names and paths', async () => {
    const session = new Session('zsh -f -i')
    const begin = `autoload -U compinit; compinit -u -D; source ${join(folder, 'zsh')}; cd ${join(folder, 'here')}; unsetopt zle_bracketed_paste`
    session.press(`${begin}; PS1='ready> '\n`)
    await session.shows(/^ready> $/m)
    const complete = async (line: string, expected: RegExp) => {
      session.press(`${line}\t`)
      await session.shows(expected)
      session.press('\u0015\u000c')
      await session.shows(/^ready>\s*$/)
    }
    await complete('juanji summ', /summary /)
    await complete('juanji ', /train +-- train a network/)
    await complete('juanji train --arc', /--arch=/)
    await complete('juanji train --arch ', /resnet8\s[\s\S]*simpleCnn/)
    await complete('juanji train --arch=simp', /--arch=simpleCnn/)
    await complete('juanji train mn', /train mnist/)
    await complete('juanji train --l', /--lr +-- learning rate/)
    await complete('juanji predict a\\ fo', /predict a\\ folder\//)
    await complete('juanji predict m a\\ fi', /a\\ file\.png/)
    await complete('juanji help ev', /help evaluate/)
    session.press('\u0015exit\n')
    await session.end()
  })
})

/** A program with all that has to be quoted. */
function awkward(): Command {
  const small = new Command('tool').description('A tool.').helpCommand('help [command]', 'print help')
  small
    .command('do')
    .description(`it's "odd": [x] $HOME \`date\` a\\b {c} 50 %`)
    .argument('<what>', 'choose')
    .argument('[files...]', 'more')
    .option('-l, --level <how>', `don't: [1] $x`)
    .option('--dir <folder>', 'where')
  small.commands[0].registeredArguments[0].choices(['one', 'two'])
  small.commands[0].options[0].choices(['low', 'high'])
  return small
}

describe('what has to be quoted', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    test.skipIf(!present[shell])(`${shell} reads the script${why(shell)}`, () => {
      const file = join(folder, `awkward.${shell}`)
      writeFileSync(file, completionScript(awkward(), shell))
      const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' })
      expect([status, stderr]).toEqual([0, ''])
    })
  }

  test.skipIf(!present.fish)('fish shows the text as it is', () => {
    const { stdout } = spawnSync(
      'fish',
      ['--no-config', '-c', `source ${join(folder, 'awkward.fish')}; complete -C 'tool d'`],
      {
        encoding: 'utf8',
      },
    )
    expect(stdout).toBe(`do\tit's "odd": [x] $HOME \`date\` a\\b {c} 50 %\n`)
  })

  test('PowerShell', () => {
    expect(completionScript(awkward(), 'powershell')).toContain(`\
    $commands = [ordered]@{
        'do' = 'it''s "odd": [x] $HOME \`date\` a\\b {c} 50 %'
        'help' = 'print help'
    }
    $options = @{
        '' = [ordered]@{
            '-h' = 'display help for command'
            '--help' = 'display help for command'
        }
        'do' = [ordered]@{
            '-l' = 'don''t: [1] $x'
            '--level' = 'don''t: [1] $x'
            '--dir' = 'where'
            '-h' = 'display help for command'
            '--help' = 'display help for command'
        }
        'help' = [ordered]@{
        }
    }
    # Every option that takes a value, and the names it takes.
    $values = @{
        'do -l' = @('low', 'high')
        'do --level' = @('low', 'high')
        'do --dir' = @()
    }
    $arguments = @{
        'do 0' = @('one', 'two')
        'do 1' = @()
        'help 0' = @('do', 'help')
    }
`)
  })
})

describe.skipIf(!present.powershell)(`PowerShell${why('powershell')}`, () => {
  test('commands, options and names', () => {
    const complete = (line: string) => {
      const script = `. ([scriptblock]::Create((Get-Content -Raw '${join(folder, 'powershell')}'))); (TabExpansion2 '${line}' ${line.length}).CompletionMatches.CompletionText`
      return spawnSync('pwsh', ['-NoProfile', '-Command', script], { encoding: 'utf8' }).stdout.trim().split(/\r?\n/)
    }
    expect(complete('juanji ')).toEqual(commandNames)
    expect(complete('juanji train --ar')).toEqual(['--arch'])
    expect(complete('juanji train --arch ')).toEqual(architectures)
    expect(complete('juanji train --epochs 3 mn')).toEqual(['mnist'])
  })
})
