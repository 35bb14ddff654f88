import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { alias: { '#platform': fileURLToPath(new URL('./src/platform/node.ts', import.meta.url)) } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // What names no backend is tested on WebAssembly: machine code takes a compiler. Tests of the choice set it themselves.
    env: { JUANJI_BACKEND: process.env.JUANJI_BACKEND ?? 'wasm' },
  },
})
