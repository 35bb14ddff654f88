/** Published as juanji/testing: checks that users run on their own functions and layers. */
export { type CheckGradientsOptions, checkGradients } from './check-gradients.ts'
export { eachBackend, type TestDevice, testDevices } from './each-backend.ts'
export { expectClose, relativeError } from './expect-close.ts'
