import sharp from 'sharp'
import { expect, test } from 'vitest'
import { looksLikePicture } from './picture-files.ts'

test('pictures are told by how they begin', async () => {
  const picture = sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
  for (const format of ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'] as const) {
    expect([format, looksLikePicture(await picture.clone().toFormat(format).toBuffer())]).toEqual([format, true])
  }
  const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
  // From a telephone: cannot be decoded everywhere, but is meant to be a picture.
  expect(looksLikePicture(bytes('\0\0\0\u0018ftypheic\0\0\0\0'))).toBe(true)
  for (const other of [
    '',
    '\u00ff\u00d8',
    'GIF8',
    'RIFF\0\0\0\0WAVE',
    '\0\0\0\u0018ftypmp42',
    '%PDF-1.7',
    '<html>',
    'MM',
  ]) {
    expect([other, looksLikePicture(bytes(other))]).toEqual([other, false])
  }
})
