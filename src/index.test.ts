import { expect, it } from 'vitest'
import * as juanji from './index.ts'
import * as functions from './tensor/functions.ts'
import * as spatial from './tensor/spatial-functions.ts'

it('every function of tensors is public, but for what only this package needs', () => {
  const missing = [...Object.keys(functions), ...Object.keys(spatial)].filter((name) => !Object.hasOwn(juanji, name))
  expect(missing.sort()).toEqual(['softmaxInput'])
})
