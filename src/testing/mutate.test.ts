import { describe, expect, it } from 'vitest'
import { ByteReader } from '../base/bytes.ts'
import { FormatError } from '../base/errors.ts'
import { expectHostileSafe, mutations } from './mutate.ts'

const good = Uint8Array.from({ length: 100 }, (_, i) => i)

describe('mutations', () => {
  it('differ from the file and each other, and come again with the seed', () => {
    const all = [...mutations(good, 300, 7)].map((bytes) => bytes.join())
    expect(new Set(all).size).toBeGreaterThan(240)
    expect(all.filter((text) => text === good.join()).length).toBeLessThan(30)
    expect([...mutations(good, 300, 7)].map((bytes) => bytes.join())).toEqual(all)
    expect([...mutations(good, 1, 8)][0]).not.toEqual([...mutations(good, 1, 7)][0])
    const lengths = all.map((text) => text.split(',').length)
    expect(Math.min(...lengths)).toBeLessThan(50)
    expect(Math.max(...lengths)).toBeGreaterThan(110)
    expect([...mutations(new Uint8Array(0), 50, 1)].some((bytes) => bytes.length > 0)).toBe(true)
  })
})

describe('expectHostileSafe', () => {
  const read = (bytes: Uint8Array) => new ByteReader(bytes, 'hostile').bytes(60)

  it('counts what is read and what is refused', async () => {
    const report = await expectHostileSafe(read, [good, good], { count: 500 })
    expect(report.inputs).toBe(500)
    expect(report.read).toBeGreaterThan(250)
    expect(report.read).toBeLessThan(500)
  })

  it('finds errors of other kinds, without a path, and without an offset', async () => {
    const failing = (error: Error) => (bytes: Uint8Array) => {
      if (bytes.length < 60) throw error
    }
    const outcome = (error: Error) => expectHostileSafe(failing(error), [good], { count: 100 })
    await expect(outcome(new RangeError('length'))).rejects.toThrow(/^mutation \d+ of file 0, seed 1: no FormatError/)
    const format = (where: string, what: string) => new FormatError({ where, what })
    await expect(outcome(format('x', 'wrong (at byte offset 3)'))).rejects.toThrow('does not begin with the path')
    await expect(outcome(format('hostile', 'wrong'))).rejects.toThrow('tells no byte offset')
    await expect(outcome(format('hostile', 'wrong (at byte offset 3)'))).resolves.toMatchObject({ inputs: 100 })
  })
})
