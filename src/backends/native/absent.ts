/** What a page gets instead of this folder, by `browser` in package.json: it has no machine code to run. */
import { UnsupportedError } from '../../base/errors.ts'

/** @throws UnsupportedError always */
export async function createNativeBackend(): Promise<never> {
  throw new UnsupportedError({
    where: 'native backend',
    what: 'a page cannot run machine code',
    fix: "use the backend 'wasm'",
  })
}
