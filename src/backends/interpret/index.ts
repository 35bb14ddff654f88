export { createInterpretBackend, type InterpretOptions } from './interpret-backend.ts'
export { type JavaScriptMode, printJavaScript } from './print-javascript.ts'
