/** What a page gets instead of image-folder.ts, by `browser` in package.json: it cannot open folders. */
import { UnsupportedError } from '../base/errors.ts'

function noFolders(where: string, path: string): UnsupportedError {
  return new UnsupportedError({
    where,
    what: 'a page cannot open folders by path',
    got: `'${path}'`,
    expected: 'samples that the page has',
    fix: 'make a data set of decoded pictures with makeDataset, or run in Node',
  })
}

/** @throws UnsupportedError always */
export async function scanImageFolder(path: string): Promise<never> {
  throw noFolders('scanImageFolder', path)
}

/** @throws UnsupportedError always */
export async function imageFolder(path: string): Promise<never> {
  throw noFolders('datasets.imageFolder', path)
}
