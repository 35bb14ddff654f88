import type { CommandSpec, CompletionSpec, OptionSpec, ValueSpec } from './spec.ts'

/** A completion script for zsh, to be sourced or to lie on fpath. */
export function zshScript({ program, commands: [root, ...commands] }: CompletionSpec): string {
  const described = commands.map(({ name, description }) => quote(`${name}:${description}`))
  return `\
#compdef ${program}
# Completion for ${program} in zsh. In ~/.zshrc, behind compinit: source <(${program} completion zsh)
_${program}_names_or_folders() {
  _alternative "names:name:($*)" 'folders:folder:_files -/'
}
_${program}() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -C \\
${root.options.map((option) => `    ${optionOf(option)} \\\n`).join('')}\
    '1: :->command' \\
    '*:: :->argument' && return
  case $state in
    command)
      local -a commands=(
${described.map((text) => `        ${text}\n`).join('')}\
      )
      _describe -t commands command commands
      ;;
    argument)
      curcontext=\${curcontext%:*:*}:${program}-$words[1]:
      case $words[1] in
${commands.map((command) => caseOf(command, program)).join('')}\
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _${program} ]]; then _${program} "$@"; else compdef _${program} ${program}; fi
`
}

function caseOf({ name, options, values }: CommandSpec, program: string): string {
  const specs = [
    ...options.map((option) => optionOf(option, program)),
    ...values.map((value, i) => quote(`${value.variadic ? '*' : i + 1}:${messageOf(value, program)}`)),
  ]
  return `        ${name})\n          _arguments -s -S ${specs.map((text) => `\\\n            ${text}`).join(' ')}\n          ;;\n`
}

function optionOf({ flags, description, value }: OptionSpec, program = ''): string {
  const text = `[${escaped(description, /[\\[\]:]/g)}]${value === undefined ? '' : `:${messageOf(value, program)}`}`
  const form = (flag: string) => (value === undefined ? flag : flag.startsWith('--') ? `${flag}=` : `${flag}+`)
  if (flags.length === 1) return quote(form(flags[0]) + text)
  // One of the two excludes the other.
  return `${quote(`(${flags.join(' ')})`)}{${flags.map(form).join(',')}}${quote(text)}`
}

/** Message and action of _arguments. */
function messageOf({ label, names, paths }: ValueSpec, program: string): string {
  const list = names.map((name) => escaped(name, /[\\:() ]/g)).join(' ')
  // An action that begins with a blank is called as it is written.
  const action =
    names.length === 0
      ? { none: ' ', folders: '_files -/', files: '_files' }[paths]
      : paths === 'none'
        ? `(${list})`
        : ` _${program}_names_or_folders ${list}`
  return `${escaped(label, /[\\:]/g)}:${action}`
}

function escaped(text: string, characters: RegExp): string {
  return text.replace(characters, '\\$&')
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
