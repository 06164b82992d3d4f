// Bundles TensorFlow.js, and gramgrad's worker from the sources beside.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import esbuild from 'esbuild'

const here = path.dirname(fileURLToPath(import.meta.url))
const common = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  platform: 'node',
  logLevel: 'warning',
  outExtension: { '.js': '.mjs' },
}
await esbuild.build({
  ...common,
  entryPoints: { tfjs: 'tfjsEntry.mjs' },
  outdir: 'build',
  mainFields: ['module', 'main'],
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
})
// Its packages are those of the repository, so it lies where Node finds them.
await esbuild.build({
  ...common,
  entryPoints: { gramgradWorker: 'gramgradWorker.mjs' },
  outdir: '../../build/peers',
  packages: 'external',
})
