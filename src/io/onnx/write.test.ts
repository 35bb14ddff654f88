import { expect, it } from 'vitest'
import { MessageReader } from './read-message.ts'
import type { Message, MessageInit } from './schema.ts'
import { collect, encodeMessage, encodeModel } from './write.ts'

it('fields are numbered and typed as protobuf says', () => {
  // Bytes by hand: field 1 as a varint, field 2 as a string of two bytes.
  expect([...encodeMessage('OperatorSetId', { domain: 'ai', version: 300 })]).toEqual([
    ...[0x0a, 2, 0x61, 0x69],
    ...[0x10, 0xac, 0x02],
  ])
  // -1 takes ten bytes; floats four, little endian; packed lists one run.
  const bytes = encodeMessage('Tensor', { dims: [-1], floatData: [1, 2] })
  expect([...bytes]).toEqual([
    ...[0x08, ...new Array<number>(9).fill(0xff), 0x01],
    ...[0x22, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40],
  ])
})

it('what is written is read again', async () => {
  const attribute: MessageInit<'Attribute'>[] = [
    { name: 'axis', i: -(2 ** 40), type: 2 },
    { name: 'alpha', f: 0.25, type: 1 },
    { name: 'pads', ints: [0, 1, -2], type: 7 },
  ]
  const node = [{ input: ['x', ''], output: ['y'], opType: 'Gemm', attribute }]
  const values = Float32Array.of(1.5, -2)
  const stream = encodeModel({ irVersion: 8, opsetImport: [{ version: 17 }] }, { name: 'ü', node }, [
    {
      header: { name: 'w', dims: [2], dataType: 1 },
      byteLength: 8,
      async *pieces() {
        yield new Uint8Array(values.buffer, 0, 4)
        yield new Uint8Array(values.buffer, 4, 4)
      },
    },
  ])
  const bytes = await collect(stream)
  expect(bytes).toHaveLength(stream.byteLength)
  const file: Message<'Model'> = new MessageReader(bytes, 'test.onnx').read('Model')
  expect([file.irVersion, file.graph?.name]).toEqual([8, 'ü'])
  const [read] = file.graph?.node ?? []
  expect([read.input, read.output, read.opType]).toEqual([['x', ''], ['y'], 'Gemm'])
  expect(read.attribute.map(({ i, f, ints }) => [i, f, [...ints]])).toEqual([
    [-(2 ** 40), undefined, []],
    [undefined, 0.25, []],
    [undefined, undefined, [0, 1, -2]],
  ])
  const raw = file.graph?.initializer[0].rawData?.slice() ?? new Uint8Array(8)
  expect([...new Float32Array(raw.buffer)]).toEqual([1.5, -2])
})
