/** Functions that a file defines: their nodes take the place of the nodes that call them. */
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'

type Node = Message<'Node'>

/** As many calls inside each other, and as many nodes, as no real file comes near. */
const maxDepth = 16
const maxNodes = 1_000_000

const keyOf = (domain: string | undefined, name: string | undefined): string => `${domain ?? ''} ${name ?? ''}`

/**
 * The nodes of a graph without calls of the file's own functions.
 * @throws FormatError where functions call each other without an end
 */
export function withoutFunctions(
  reader: MessageReader,
  nodes: readonly Node[],
  functions: readonly Message<'Function'>[],
): readonly Node[] {
  if (functions.length === 0) return nodes
  const byKey = new Map(functions.map((one) => [keyOf(one.domain, one.name), one]))
  const result: Node[] = []
  let calls = 0
  const go = (list: readonly Node[], depth: number): void => {
    for (const node of list) {
      const called = byKey.get(keyOf(node.domain, node.opType))
      if (depth > maxDepth || result.length > maxNodes || calls > maxNodes) {
        throw reader.error('functions call each other without an end', { at: node })
      }
      if (called === undefined) result.push(node)
      else go(bodyOf(reader, called, node, ++calls), depth + 1)
    }
  }
  go(nodes, 0)
  return result
}

/** The nodes of a function as one call means them. */
function bodyOf(reader: MessageReader, called: Message<'Function'>, call: Node, number: number): Node[] {
  const names = new Map<string, string>()
  called.input.forEach((name, i) => {
    names.set(name, call.input[i] ?? '')
  })
  called.output.forEach((name, i) => {
    if ((call.output[i] ?? '') !== '') names.set(name, call.output[i])
  })
  const prefix = `${call.name === undefined || call.name === '' ? (call.opType ?? '') : call.name}`
  const renamed = (name: string) => (name === '' ? '' : (names.get(name) ?? `${prefix}/${number}/${name}`))
  const given = new Map([...called.attributeProto, ...call.attribute].map((one) => [one.name ?? '', one]))
  return called.node.map((node) =>
    reader.copy(node, {
      name: node.name === undefined || node.name === '' ? node.name : `${prefix}/${node.name}`,
      input: node.input.map(renamed),
      output: node.output.map(renamed),
      attribute: node.attribute.flatMap((attribute) => {
        if ((attribute.refAttrName ?? '') === '') return [attribute]
        // What the call does not say is left out, so that the operator's own default holds.
        const value = given.get(attribute.refAttrName ?? '')
        return value === undefined ? [] : [{ ...value, name: attribute.name }]
      }),
    }),
  )
}
