// Makes a fresh clone ready to run: Node's version, the locked packages, a WebGPU adapter, the
// build. Works before node_modules exists, so only Node's own modules are imported at the top.
import { fileURLToPath } from 'node:url'
import { ensureAdapter } from './adapter.mjs'
import { ensurePackages } from './packages.mjs'
import { SetUpError } from './setUpError.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Sets up, or says in a sentence what is missing and exits 1. `adapter: false` needs no GPU. */
export async function setUp({ adapter = true } = {}) {
  try {
    if (Number.parseInt(process.versions.node, 10) < 20)
      throw new SetUpError(
        `gramgrad needs Node 20 or newer; this is Node ${process.versions.node}.`,
      )
    ensurePackages(root)
    if (adapter) ensureAdapter()
    const { build } = await import('../build.mjs')
    await build()
  } catch (error) {
    // The stack alone: for an uncaught error Node also prints the source line, minified or not.
    console.error(error instanceof SetUpError ? error.message : error.stack)
    process.exit(1)
  }
}
