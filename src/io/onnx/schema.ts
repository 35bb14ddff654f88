/**
 * The messages of ONNX that are read and written here: one table of field numbers and types, from which the types below
 * are made. Fields that stand in files but not in this table are skipped by the reader.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 * @see https://protobuf.dev/programming-guides/encoding
 */
import { WireType } from '@bufbuild/protobuf/wire'

interface Scalars {
  readonly int32: number
  /** Beyond 2^53 rounded to the nearest number: INT64_MAX as the end of a slice becomes 2^63. */
  readonly int64: number
  readonly uint64: number
  readonly float: number
  readonly double: number
  readonly string: string
  /** A view of the file, never a copy. */
  readonly bytes: Uint8Array
}

export type ScalarType = keyof Scalars

/** How scalars are written. */
export const wireTypes: Readonly<Record<ScalarType, WireType>> = {
  int32: WireType.Varint,
  int64: WireType.Varint,
  uint64: WireType.Varint,
  float: WireType.Bit32,
  double: WireType.Bit64,
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
}

/**
 * Field number, type (`[]`: repeated), and how numbers that repeat are written: `'packed'` as one run of bytes. Readers
 * take both forms of every field.
 */
export type Field = readonly [number: number, type: string, packed?: 'packed']

export const messages = {
  Model: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    domain: [4, 'string'],
    modelVersion: [5, 'int64'],
    docString: [6, 'string'],
    graph: [7, 'Graph'],
    opsetImport: [8, 'OperatorSetId[]'],
    metadataProps: [14, 'StringStringEntry[]'],
    functions: [25, 'Function[]'],
  },
  OperatorSetId: { domain: [1, 'string'], version: [2, 'int64'] },
  StringStringEntry: { key: [1, 'string'], value: [2, 'string'] },
  Graph: {
    node: [1, 'Node[]'],
    name: [2, 'string'],
    initializer: [5, 'Tensor[]'],
    docString: [10, 'string'],
    input: [11, 'ValueInfo[]'],
    output: [12, 'ValueInfo[]'],
    valueInfo: [13, 'ValueInfo[]'],
    sparseInitializer: [15, 'SparseTensor[]'],
  },
  Node: {
    input: [1, 'string[]'],
    output: [2, 'string[]'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'Attribute[]'],
    docString: [6, 'string'],
    domain: [7, 'string'],
  },
  Attribute: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'Tensor'],
    g: [6, 'Graph'],
    floats: [7, 'float[]'],
    ints: [8, 'int64[]'],
    strings: [9, 'bytes[]'],
    docString: [13, 'string'],
    /** One of `attributeTypes`. */
    type: [20, 'int32'],
    refAttrName: [21, 'string'],
  },
  Tensor: {
    dims: [1, 'int64[]'],
    /** One of `tensorTypes`. */
    dataType: [2, 'int32'],
    floatData: [4, 'float[]', 'packed'],
    /** Also of smaller integers, bool, and the bits of float16 and bfloat16. */
    int32Data: [5, 'int32[]', 'packed'],
    stringData: [6, 'bytes[]'],
    int64Data: [7, 'int64[]', 'packed'],
    name: [8, 'string'],
    /** Little endian, row-major. */
    rawData: [9, 'bytes'],
    doubleData: [10, 'double[]', 'packed'],
    /** Also of uint32. */
    uint64Data: [11, 'uint64[]', 'packed'],
    docString: [12, 'string'],
    externalData: [13, 'StringStringEntry[]'],
    /** 0: in this file; 1: where externalData says. */
    dataLocation: [14, 'int32'],
  },
  SparseTensor: { values: [1, 'Tensor'], indices: [2, 'Tensor'], dims: [3, 'int64[]'] },
  ValueInfo: { name: [1, 'string'], type: [2, 'Type'], docString: [3, 'string'] },
  Type: {
    tensorType: [1, 'TensorType'],
    sequenceType: [4, 'Other'],
    mapType: [5, 'Other'],
    optionalType: [9, 'Other'],
  },
  TensorType: { elemType: [1, 'int32'], shape: [2, 'TensorShape'] },
  TensorShape: { dim: [1, 'Dimension[]'] },
  Dimension: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
  Function: {
    name: [1, 'string'],
    input: [4, 'string[]'],
    output: [5, 'string[]'],
    attribute: [6, 'string[]'],
    node: [7, 'Node[]'],
    opsetImport: [9, 'OperatorSetId[]'],
    domain: [10, 'string'],
    attributeProto: [11, 'Attribute[]'],
  },
  /** Of which only the presence matters. */
  Other: {},
} as const satisfies Readonly<Record<string, Readonly<Record<string, Field>>>>

export type MessageName = keyof typeof messages

type Value<Type> = Type extends ScalarType ? Scalars[Type] : Type extends MessageName ? Message<Type> : never
type Init<Type> = Type extends ScalarType ? Scalars[Type] : Type extends MessageName ? MessageInit<Type> : never
type TypeOf<F> = F extends Field ? F[1] : never
type IsRepeated<F> = TypeOf<F> extends `${string}[]` ? true : false
type Item<F> = TypeOf<F> extends `${infer One}[]` ? One : TypeOf<F>
/** Numbers that lie packed come as typed arrays where there is one of their kind. */
type List<F, One> = F extends readonly [number, string, 'packed'] ? ArrayLike<number> : readonly One[]

/** What is read: lists are always there, other fields where the file has them. */
export type Message<Name extends MessageName> = {
  readonly [Key in keyof (typeof messages)[Name]]: IsRepeated<(typeof messages)[Name][Key]> extends true
    ? List<(typeof messages)[Name][Key], Value<Item<(typeof messages)[Name][Key]>>>
    : Value<Item<(typeof messages)[Name][Key]>> | undefined
}

/** What is written: any fields. */
export type MessageInit<Name extends MessageName> = {
  readonly [Key in keyof (typeof messages)[Name]]?: IsRepeated<(typeof messages)[Name][Key]> extends true
    ? List<(typeof messages)[Name][Key], Init<Item<(typeof messages)[Name][Key]>>>
    : Init<Item<(typeof messages)[Name][Key]>> | undefined
}

/** Of `Attribute.type`. */
export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const

/** Of `Tensor.dataType`, by the names that ONNX's operators use. */
export const tensorTypes = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
} as const

export type OnnxType = keyof typeof tensorTypes
