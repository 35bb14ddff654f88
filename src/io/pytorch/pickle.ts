/**
 * Pickles, the way Python writes objects, read without executing anything: instructions build values, and what one would
 * call is given to rules, which know what it stands for or refuse it.
 *
 * @see Python's `pickletools`, which describes protocols 0 to 5
 */
import type { ByteReader } from '../../base/bytes.ts'
import { Machine, type PickleRules } from './machine.ts'
import { PyDict, PyList, PySet, PyTuple, type PyValue, shorten } from './values.ts'

/**
 * The value of the pickle at the reader's offset, which moves behind it.
 * @param whole whether the reader has the file to its end; if not, NeedsMore is thrown where it ends too early
 * @throws FormatError on anything that is no pickle, and what the rules throw
 */
export function readPickle(reader: ByteReader, rules: PickleRules, whole = true): PyValue {
  const machine = new Machine(reader, rules, whole)
  for (;;) {
    const code = machine.next()
    if (code === end) return machine.pop()
    const character = String.fromCharCode(code)
    if (!Object.hasOwn(instructions, character)) {
      throw machine.error('this is no instruction of a pickle', {
        got: `0x${code.toString(16).padStart(2, '0')}`,
        expected: 'an instruction of protocols 0 to 5',
        fix: 'check that the file is complete and a PyTorch file',
      })
    }
    instructions[character](machine)
  }
}

/** `.` ends a pickle. */
const end = 0x2e

type Instruction = (machine: Machine) => void

/** Instructions by the character of their byte. */
const instructions: Readonly<Record<string, Instruction>> = {
  // values
  N: (m) => m.push(null),
  '\x88': (m) => m.push(true),
  '\x89': (m) => m.push(false),
  K: (m) => m.push(m.unsigned(1)),
  M: (m) => m.push(m.unsigned(2)),
  J: (m) => m.push(m.integer(4)),
  '\x8a': (m) => m.push(m.integer(m.unsigned(1))),
  '\x8b': (m) => m.push(m.integer(m.unsigned(4))),
  G: (m) => m.push(m.float()),
  F: floatLine,
  I: integerOrBoolean,
  L: (m) => m.push(m.integerLine()),
  X: (m) => m.push(m.text(m.unsigned(4))),
  '\x8c': (m) => m.push(m.text(m.unsigned(1))),
  '\x8d': (m) => m.push(m.text(m.unsigned(8))),
  V: (m) => m.push(m.line()),
  S: quotedLine,
  U: (m) => m.push(latin1(m.bytes(m.unsigned(1), 'a text'))),
  T: (m) => m.push(latin1(m.bytes(m.unsigned(4), 'a text'))),
  C: (m) => m.push(m.bytes(m.unsigned(1), 'bytes')),
  B: (m) => m.push(m.bytes(m.unsigned(4), 'bytes')),
  '\x8e': (m) => m.push(m.bytes(m.unsigned(8), 'bytes')),
  '\x96': (m) => m.push(m.bytes(m.unsigned(8), 'bytes')),

  // containers
  '(': (m) => m.setMark(),
  ')': (m) => m.push(new PyTuple([])),
  t: (m) => m.push(new PyTuple(m.popMark())),
  '\x85': (m) => tuple(m, 1),
  '\x86': (m) => tuple(m, 2),
  '\x87': (m) => tuple(m, 3),
  ']': (m) => m.push(new PyList([])),
  l: (m) => m.push(new PyList(m.popMark())),
  a: (m) => m.append([m.pop()]),
  e: (m) => m.append(m.popMark()),
  '}': (m) => m.push(new PyDict()),
  d: dict,
  s: setItem,
  u: (m) => m.set(m.popMark()),
  '\x8f': (m) => m.push(new PySet([])),
  '\x90': (m) => m.append(m.popMark()),
  '\x91': (m) => m.push(new PySet(m.popMark())),

  // stack and memo
  '0': (m) => m.discard(),
  '1': (m) => m.popMark(),
  '2': (m) => m.push(m.top()),
  q: (m) => m.put(m.unsigned(1)),
  r: (m) => m.put(m.unsigned(4)),
  p: (m) => m.put(Number(m.integerLine())),
  '\x94': (m) => m.putNext(),
  h: (m) => m.get(m.unsigned(1)),
  j: (m) => m.get(m.unsigned(4)),
  g: (m) => m.get(Number(m.integerLine())),

  // what would be called
  c: (m) => m.push(globalOfLines(m)),
  '\x93': globalOfStack,
  R: reduce,
  '\x81': construct,
  '\x92': constructWithNames,
  i: (m) => m.call(globalOfLines(m), new PyTuple(m.popMark())),
  o: callMarked,
  b: (m) => m.build(m.pop()),
  Q: (m) => m.persistent(m.pop()),
  P: (m) => m.persistent(m.line()),

  // frames
  '\x80': protocol,
  '\x95': (m) => {
    m.unsigned(8)
  },
  '\x82': refuseExtension,
  '\x83': refuseExtension,
  '\x84': refuseExtension,
  '\x97': refuseBuffers,
  '\x98': refuseBuffers,
}

function floatLine(machine: Machine): void {
  const line = machine.line()
  const known: Readonly<Record<string, number>> = { nan: Number.NaN, inf: Infinity, '-inf': -Infinity }
  const value = Object.hasOwn(known, line) ? known[line] : Number(line)
  if (line.trim() === '' || (Number.isNaN(value) && line !== 'nan')) {
    throw machine.error('this is no number', { got: shorten(line) })
  }
  machine.push(value)
}

/** `00` and `01` are False and True. */
function integerOrBoolean(machine: Machine): void {
  const line = machine.line()
  if (line === '00' || line === '01') machine.push(line === '01')
  else machine.push(machine.wholeNumber(line))
}

/** Texts of protocol 0 in Python's quotes; such with escapes stand in no file of weights. */
function quotedLine(machine: Machine): void {
  const line = machine.line()
  const match = /^(['"])([^\\]*)\1$/.exec(line)
  if (match === null) throw machine.error('this is no plain text', { got: shorten(line) })
  machine.push(match[2])
}

/** Texts of Python 2, which had no encoding. */
function latin1(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes)
}

function tuple(machine: Machine, count: number): void {
  const items: PyValue[] = []
  for (let i = 0; i < count; i++) items.unshift(machine.pop())
  machine.push(new PyTuple(items))
}

function dict(machine: Machine): void {
  const entries = machine.popMark()
  machine.push(new PyDict())
  machine.set(entries)
}

function setItem(machine: Machine): void {
  const value = machine.pop()
  machine.set([machine.pop(), value])
}

function globalOfLines(machine: Machine): PyValue {
  const module = machine.line()
  return machine.global(module, machine.line())
}

function globalOfStack(machine: Machine): void {
  const name = machine.pop()
  machine.push(machine.global(machine.pop(), name))
}

function reduce(machine: Machine): void {
  const args = machine.pop()
  machine.call(machine.pop(), args)
}

function construct(machine: Machine): void {
  const args = machine.pop()
  machine.construct(machine.pop(), args)
}

function constructWithNames(machine: Machine): void {
  machine.pop()
  construct(machine)
}

function callMarked(machine: Machine): void {
  const [callee, ...args] = machine.popMark()
  if (callee === undefined) throw machine.error('the pickle calls nothing')
  machine.call(callee, new PyTuple(args))
}

function protocol(machine: Machine): void {
  const version = machine.unsigned(1)
  if (version <= 5) return
  throw machine.error('the pickle is of a protocol that is not known', { got: `${version}`, expected: 'at most 5' })
}

function refuseExtension(machine: Machine): void {
  throw machine.error('the pickle names something by a number that only the program that wrote it knows', { fix })
}

function refuseBuffers(machine: Machine): void {
  throw machine.error('the pickle takes bytes that stand outside of it', { fix })
}

const fix = 'save the weights again with torch.save(model.state_dict(), path)'
