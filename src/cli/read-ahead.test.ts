import { expect, test } from 'vitest'
import { readAhead } from './read-ahead.ts'

async function* numbers(count: number, asked: (i: number) => void = () => undefined): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) {
    asked(i)
    yield i
  }
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}
async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

test('results keep the order of the items, however long each takes', async () => {
  const work = async (i: number) => {
    await turns((7 * i) % 5)
    return i * i
  }
  const squares = Array.from({ length: 50 }, (_, i) => i * i)
  expect(await all(readAhead(numbers(50), work, { atOnce: 3, ahead: 8 }))).toEqual(squares)
  expect(await all(readAhead(numbers(3), work, { atOnce: 1, ahead: 0 }))).toEqual([0, 1, 4])
  expect(await all(readAhead(numbers(0), work, { atOnce: 3, ahead: 8 }))).toEqual([])
})

test('no more are begun ahead, and no more at once, than is allowed', async () => {
  let asked = 0
  let running = 0
  let most = 0
  const stream = readAhead(
    numbers(100, () => asked++),
    async (i) => {
      most = Math.max(most, ++running)
      await turns(2)
      running--
      return i
    },
    { atOnce: 3, ahead: 8 },
  )
  for (let read = 1; read <= 20; read++) {
    expect((await stream.next()).value).toBe(read - 1)
    await turns(20)
    expect(asked).toBe(read + 8)
  }
  expect(most).toBe(3)
})

test('an item is handed on although the next one is not there yet', async () => {
  async function* slow() {
    yield 1
    await new Promise(() => undefined)
  }
  const stream = readAhead(slow(), async (i) => i, { atOnce: 2, ahead: 8 })
  expect((await stream.next()).value).toBe(1)
})

test('nothing is begun once the reader has stopped', async () => {
  const begun: number[] = []
  const work = async (i: number) => {
    begun.push(i)
    await turns(3)
    return i
  }
  for await (const i of readAhead(numbers(100), work, { atOnce: 2, ahead: 50 })) if (i === 3) break
  const soFar = begun.length
  await turns(50)
  expect(begun.length).toBe(soFar)
  expect(soFar).toBeLessThan(10)
})

test('an error comes when its turn comes', async () => {
  const seen: number[] = []
  const read = async () => {
    const work = async (i: number) => {
      if (i === 5) throw new Error('five')
      await turns(3)
      return i
    }
    for await (const i of readAhead(numbers(100), work, { atOnce: 8, ahead: 20 })) seen.push(i)
  }
  await expect(read()).rejects.toThrow('five')
  expect(seen).toEqual([0, 1, 2, 3, 4])
  async function* broken() {
    yield 0
    throw new Error('no more')
  }
  await expect(all(readAhead(broken(), async (i) => i, { atOnce: 2, ahead: 4 }))).rejects.toThrow('no more')
})
