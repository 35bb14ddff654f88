import { type CompletionSpec, valuedOptions } from './spec.ts'

/** A completion script for PowerShell 5.1 and later. Where it offers nothing, PowerShell offers paths. */
export function powershellScript(spec: CompletionSpec): string {
  const { program, commands } = spec
  const table = (rows: readonly (readonly [key: string, value: string])[], indent = '        ') =>
    rows.map(([key, value]) => `${indent}${quote(key)} = ${value}\n`).join('')
  const list = (names: readonly string[]) => `@(${names.map(quote).join(', ')})`
  const options = commands.map(({ name, options }): [string, string] => [
    name,
    `[ordered]@{\n${table(
      options.flatMap(({ flags, description }) => flags.map((flag): [string, string] => [flag, quote(description)])),
      '            ',
    )}        }`,
  ])
  const places = commands.flatMap(({ name, values }) =>
    values.map((value, i): [string, string] => [`${name} ${i}`, list(value.names)]),
  )
  return `\
# Completion for ${program} in PowerShell. In $PROFILE: ${program} completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName ${quote(program)} -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $commands = [ordered]@{
${table(commands.slice(1).map(({ name, description }) => [name, quote(description)]))}    }
    $options = @{
${table(options)}    }
    # Every option that takes a value, and the names it takes.
    $values = @{
${table(valuedOptions(spec).map(({ key, value }) => [key, list(value.names)]))}    }
    $arguments = @{
${table(places)}    }

    $command = ''
    $place = 0
    $waiting = ''
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $text = $element.Extent.Text
        if ($waiting) { $waiting = '' }
        elseif ($text.StartsWith('-')) { if ($values.ContainsKey("$command $text")) { $waiting = $text } }
        elseif (-not $command) { $command = $text }
        else { $place++ }
    }

    $found = [ordered]@{}
    if ($waiting) { foreach ($name in $values["$command $waiting"]) { $found[$name] = $name } }
    elseif ($wordToComplete.StartsWith('-')) { if ($options.ContainsKey($command)) { $found = $options[$command] } }
    elseif (-not $command) { $found = $commands }
    else { foreach ($name in $arguments["$command $place"]) { $found[$name] = $name } }
    foreach ($name in $found.Keys) {
        if ($name.StartsWith($wordToComplete)) {
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $found[$name])
        }
    }
}
`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
