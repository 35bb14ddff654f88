/**
 * Makes `npx juanji` work in the checkout: links node_modules/.bin/juanji to the built command. npm does so for
 * packages that are installed, not for the one it installs them for; without the link npx would make a copy of its own
 * and build it each time. Part of `npm ci` by way of `postprepare`: npm warns users of a tarball about a script named
 * `prepare`, although it would not run it for them.
 */
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

await chmod(at('dist/cli/main.js'), 0o755)
await mkdir(at('node_modules/.bin'), { recursive: true })
if (process.platform === 'win32') {
  // Links need a right that not every account has.
  await writeFile(at('node_modules/.bin/juanji.cmd'), '@node "%~dp0\\..\\..\\dist\\cli\\main.js" %*\r\n')
} else {
  const link = at('node_modules/.bin/juanji')
  await rm(link, { force: true })
  await symlink('../../dist/cli/main.js', link)
}
