// `navigator.gpu` by the npm package webgpu, as browser engines expect it.
import { cpus } from 'node:os'
import { create, globals } from 'webgpu'

// Dawn aborts when this is collected while a device lives.
const gpu = create([])

export function installDawn() {
  Object.assign(globalThis, globals)
  const navigator = { gpu, userAgent: 'node', hardwareConcurrency: cpus().length }
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
}
