/** The browser of the tests. */

export const chromiumPath = process.env.JUANJI_CHROMIUM ?? '/usr/bin/chromium'

const quiet = ['disable-background-networking', 'disable-component-update', 'disable-sync', 'disable-quic']

/** No sandbox, no GPU, nothing sent anywhere. */
export const chromiumArguments = ['no-sandbox', 'disable-gpu', 'no-first-run', ...quiet].map((flag) => `--${flag}`)
