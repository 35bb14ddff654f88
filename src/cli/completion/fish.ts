import { type CommandSpec, type CompletionSpec, type OptionSpec, type ValueSpec, valuedOptions } from './spec.ts'

/** A completion script for fish 3.0 and later. */
export function fishScript(spec: CompletionSpec): string {
  const { program, commands } = spec
  const lines = commands.flatMap((command) => [
    ...(command.name === ''
      ? commands
          .slice(1)
          .map((one) => `-n ${quote(`__${program}_at ''`)} -a ${quote(one.name)} -d ${quote(one.description)}`)
      : []),
    ...command.options.map((option) => optionOf(option, command, program)),
    ...command.values.flatMap((value, i) => argumentOf(value, command, i, program)),
  ])
  return `\
# Completion for ${program} in fish: ${program} completion fish > ~/.config/fish/completions/${program}.fish
set -g __${program}_valued ${valuedOptions(spec)
    .map(({ key }) => quote(key))
    .join(' ')}

# Whether this command is being completed, and its argument number \`place\` where one is given: \`2 more\` is 2 or above.
function __${program}_at --argument-names command place more
    set -l words (commandline -opc)
    set -e words[1]
    set -l found ''
    set -l count 0
    set -l waiting 0
    for word in $words
        if test $waiting = 1
            set waiting 0
        else if string match -q -- '-?*' $word
            if contains -- "$found $word" $__${program}_valued
                set waiting 1
            end
        else if test -z "$found"
            set found $word
        else
            set count (math $count + 1)
        end
    end
    test "$found" = "$command"; or return 1
    test -z "$place"; and return 0
    test $count = $place; and return 0
    test -n "$more"; and test $count -gt $place
end

complete -c ${program} -e
complete -c ${program} -f
${lines.map((line) => `complete -c ${program} ${line}\n`).join('')}`
}

function optionOf({ flags, description, value }: OptionSpec, { name }: CommandSpec, program: string): string {
  const condition = quote(`__${program}_at ${name === '' ? "''" : name}`)
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
  return `-n ${condition} ${names.join(' ')}${value === undefined ? '' : ` -r ${choicesOf(value)}`} -d ${quote(description)}`
}

function argumentOf(value: ValueSpec, { name }: CommandSpec, place: number, program: string): string[] {
  if (value.names.length === 0 && value.paths === 'none') return []
  const condition = `__${program}_at ${name} ${place}${value.variadic ? ' more' : ''}`
  return [`-n ${quote(condition)} ${choicesOf(value)}`]
}

function choicesOf({ names, paths }: ValueSpec): string {
  if (names.length === 0 && paths === 'files') return '-F'
  const list = [...names, ...(paths === 'none' ? [] : ['(__fish_complete_directories)'])]
  return list.length === 0 ? '-f' : `-f -a ${quote(list.join(' '))}`
}

function quote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
