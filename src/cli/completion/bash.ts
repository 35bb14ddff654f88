import { type CompletionSpec, type ValueSpec, valuedOptions } from './spec.ts'

/** A completion script for bash 3.2 and later; it needs nothing beside bash. */
export function bashScript(spec: CompletionSpec): string {
  const { program, commands } = spec
  const cases = (lines: readonly (readonly [pattern: string, action: string])[], indent: string) =>
    lines.flatMap(([pattern, action]) => (action === '' ? [] : [`${indent}${pattern}) ${action} ;;\n`])).join('')
  const options = commands.map(({ name, options }): [string, string] => [
    name === '' ? "''" : name,
    `names=${quote(options.flatMap(({ flags }) => flags).join(' '))}`,
  ])
  const all = valuedOptions(spec)
  const valued = all.map(({ key, value }): [string, string] => [quote(key), actionOf(value)])
  const places = commands.flatMap(({ name, values }) =>
    values.map((value, i): [string, string] => [
      value.variadic ? `${quote(`${name} `)}*` : quote(`${name} ${i}`),
      actionOf(value),
    ]),
  )
  return `\
# Completion for ${program} in bash. In ~/.bashrc: source <(${program} completion bash)
_${program}() {
  local word=\${COMP_WORDS[COMP_CWORD]} command='' place=0 waiting='' only_arguments='' names='' paths='' i seen
  for ((i = 1; i < COMP_CWORD; i++)); do
    seen=\${COMP_WORDS[i]}
    if [[ -n $waiting ]]; then
      # Bash cuts --option=value in three.
      [[ $seen == '=' ]] || waiting=''
    elif [[ $seen == -- && -z $only_arguments ]]; then
      only_arguments=1
    elif [[ $seen == -?* && -z $only_arguments ]]; then
      case "$command $seen" in
${cases([[all.map(({ key }) => quote(key)).join(' | '), 'waiting=$seen']], '        ')}\
      esac
    elif [[ -z $command ]]; then
      command=$seen
    else
      place=$((place + 1))
    fi
  done
  if [[ -n $waiting ]]; then
    [[ $word == '=' ]] && word=''
    case "$command $waiting" in
${cases(valued, '      ')}\
    esac
  elif [[ $word == -* && -z $only_arguments ]]; then
    case $command in
${cases(options, '      ')}\
    esac
  elif [[ -z $command ]]; then
    names=${quote(commands.flatMap(({ name }) => (name === '' ? [] : [name])).join(' '))}
  else
    case "$command $place" in
${cases(places, '      ')}\
    esac
  fi
  COMPREPLY=($(compgen -W "$names" -- "$word"))
  if [[ -z $paths ]]; then
    return
  elif type compopt > /dev/null 2>&1; then
    # Readline's own completion of paths knows about blanks, quotes and ~.
    if [[ $paths == files ]]; then compopt -o default; else compopt -o plusdirs; fi 2> /dev/null
  else
    local IFS=$'\\n'
    if [[ $paths == files ]]; then COMPREPLY+=($(compgen -f -- "$word")); else COMPREPLY+=($(compgen -d -- "$word")); fi
  fi
}
complete -F _${program} ${program}
`
}

function actionOf({ names, paths }: ValueSpec): string {
  return [
    ...(names.length === 0 ? [] : [`names=${quote(names.join(' '))}`]),
    ...(paths === 'none' ? [] : [`paths=${paths}`]),
  ].join(' ')
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
