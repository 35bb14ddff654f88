/**
 * What a worker runs, as text: it needs no file of its own, so tests, bundles and the installed package use the same.
 * It owns nothing but its instances; with a memory of its own (no shared memory) it also reads and writes it.
 */
export const workerSource = `
'use strict'
const table = new WebAssembly.Table({ element: 'anyfunc', initial: 64 })
let memory, walk, barrier
const instantiate = (entries) => {
  for (const [slot, module] of entries) {
    if (slot >= table.length) table.grow(Math.max(table.length, slot + 1 - table.length))
    table.set(slot, new WebAssembly.Instance(module, { m: { memory } }).exports.run)
  }
}
const poison = () => {
  const words = new Int32Array(memory.buffer)
  Atomics.store(words, (barrier + 192) >> 2, 1)
  Atomics.add(words, (barrier + 64) >> 2, 1)
  Atomics.notify(words, (barrier + 64) >> 2)
}
const actions = {
  start(message) {
    memory = message.memory || new WebAssembly.Memory({ initial: message.pages, maximum: message.maximumPages })
    barrier = message.barrier
    walk = new WebAssembly.Instance(message.runtime, { m: { memory, table } }).exports.walk
  },
  run(message) {
    try {
      instantiate(message.modules)
      if (walk(message.table, message.count, message.threads, message.scratch, barrier, message.spins) !== 0) return { failed: true }
    } catch (error) {
      if (message.threads > 1) poison()
      throw error
    }
  },
  grow(message) { memory.grow(message.pages) },
  write(message) { new Uint8Array(memory.buffer).set(message.bytes, message.address) },
  read(message) { return { bytes: new Uint8Array(memory.buffer).slice(message.address, message.address + message.length) } },
}
self.onmessage = ({ data }) => {
  let reply
  try {
    reply = actions[data.action](data) || {}
  } catch (error) {
    // V8 names the module, which is named after the kernel, in the stack.
    const place = /wasm:\\/\\/wasm\\/(.+)-[0-9a-f]{8}/.exec(error && error.stack)
    reply = { error: 'wasm: ' + (place ? 'kernel ' + place[1] + ': ' : '') + String(error && error.message || error) }
  }
  reply.id = data.id
  self.postMessage(reply, reply.bytes ? [reply.bytes.buffer] : [])
}
`
