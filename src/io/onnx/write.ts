/**
 * Messages of ONNX as bytes. The values of large tensors are made while they are written, piece by piece: no second copy
 * of a model's weights is ever in memory.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { startPieces } from '#platform'
import { type Field, type MessageInit, type MessageName, messages, type ScalarType, wireTypes } from './schema.ts'

/** Bytes whose number is known before they are made. */
export interface Stream {
  readonly byteLength: number
  /** Each piece is only valid until the next one is asked for. */
  pieces(): AsyncIterable<Uint8Array>
}

/** A tensor that is written raw, in little endian order. */
export interface TensorStream extends Stream {
  /** All of it but the values. */
  readonly header: MessageInit<'Tensor'>
}

const isScalar = (type: string): type is ScalarType => Object.hasOwn(wireTypes, type)

function writeScalar(writer: BinaryWriter, type: ScalarType, value: unknown): void {
  if (type === 'string') writer.string(value as string)
  else if (type === 'bytes') writer.bytes(value as Uint8Array)
  else writer[type](value as number)
}

function writeOne(writer: BinaryWriter, number: number, type: string, value: unknown): void {
  if (isScalar(type)) {
    writeScalar(writer.tag(number, wireTypes[type]), type, value)
    return
  }
  writer.tag(number, WireType.LengthDelimited).fork()
  writeFields(writer, type as MessageName, value as Readonly<Record<string, unknown>>)
  writer.join()
}

function writeFields(writer: BinaryWriter, name: MessageName, message: Readonly<Record<string, unknown>>): void {
  const fields: Readonly<Record<string, Field>> = messages[name]
  for (const [key, [number, type, packed]] of Object.entries(fields)) {
    const value = message[key]
    if (value === undefined) continue
    if (!type.endsWith('[]')) {
      writeOne(writer, number, type, value)
      continue
    }
    const item = type.slice(0, -2)
    const list = Array.from(value as ArrayLike<unknown>)
    if (packed === undefined) {
      for (const one of list) writeOne(writer, number, item, one)
    } else if (list.length > 0) {
      writer.tag(number, WireType.LengthDelimited).fork()
      for (const one of list) writeScalar(writer, item as ScalarType, one)
      writer.join()
    }
  }
}

/** The bytes of one message. */
export function encodeMessage<Name extends MessageName>(name: Name, message: MessageInit<Name>): Uint8Array {
  const writer = new BinaryWriter()
  writeFields(writer, name, message as Readonly<Record<string, unknown>>)
  return writer.finish()
}

/** What stands in front of a field that holds `length` bytes. */
function prefix(field: Field, length: number): Uint8Array {
  return new BinaryWriter().tag(field[0], WireType.LengthDelimited).uint32(length).finish()
}

function one(bytes: Uint8Array): Stream {
  return {
    byteLength: bytes.length,
    async *pieces() {
      yield bytes
    },
  }
}

function joined(parts: readonly Stream[]): Stream {
  return {
    byteLength: parts.reduce((sum, part) => sum + part.byteLength, 0),
    async *pieces() {
      for (const part of parts) yield* part.pieces()
    },
  }
}

const within = (field: Field, content: Stream): Stream => joined([one(prefix(field, content.byteLength)), content])

/** A file: the model, whose graph gets these tensors as further initializers. */
export function encodeModel(
  model: Omit<MessageInit<'Model'>, 'graph'>,
  graph: MessageInit<'Graph'>,
  tensors: readonly TensorStream[],
): Stream {
  const initializers = tensors.map((tensor) =>
    within(
      messages.Graph.initializer,
      joined([one(encodeMessage('Tensor', tensor.header)), within(messages.Tensor.rawData, tensor)]),
    ),
  )
  const body = joined([one(encodeMessage('Graph', graph)), ...initializers])
  return joined([one(encodeMessage('Model', model)), within(messages.Model.graph, body)])
}

/** All bytes in one array. The event loop goes on in between. */
export async function collect(stream: Stream): Promise<Uint8Array> {
  const bytes = new Uint8Array(stream.byteLength)
  const turns = startPieces()
  let offset = 0
  for await (const piece of stream.pieces()) {
    bytes.set(piece, offset)
    offset += piece.length
    if (turns.over) await turns.next()
  }
  return bytes
}
