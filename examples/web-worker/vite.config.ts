import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

// With these two headers the page is cross-origin isolated, and juanji's threads may share memory. Without them it
// computes in one thread, to the same bits. The server that your users reach has to send them too.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export default defineConfig({
  server: { headers },
  preview: { headers },
  // juanji loads parts of itself when it needs them, which workers can do as modules only.
  worker: { format: 'es' },
  // Only because this page lies in juanji's own repository: where juanji is installed, it is found without this line.
  resolve: { alias: { juanji: fileURLToPath(new URL('../../dist/index.js', import.meta.url)) } },
})
