/** Whether this machine can run native kernels, for tests that need them. */
import { environment } from '#platform'
import { createNativeBackend } from '../backends/native/index.ts'
import { UnsupportedError } from '../base/errors.ts'

/** Undefined where it can. */
export async function whyNoNative(): Promise<string | undefined> {
  if (environment('JUANJI_TEST_NATIVE') === '0') return 'skipped: JUANJI_TEST_NATIVE=0'
  try {
    await (await createNativeBackend({ threads: 1 })).close()
    return undefined
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    return `skipped: ${error.problem.what}`
  }
}
