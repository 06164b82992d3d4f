import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import esbuild from 'esbuild'
import { generateShaders } from './generateShaders.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const inputs = ['src', 'shaders', 'scripts', 'package-lock.json', 'tsconfig.json']
const generated = path.join(root, 'src/gpu/generated')
const outputs = [generated, path.join(root, 'dist/cli.mjs'), path.join(root, 'dist/index.mjs')]
const stampFile = path.join(root, 'dist/inputs.sha256')

/** Bundles TypeScript for Node; `entryPoints` and the output's place are the caller's. */
export function bundle(options) {
  return esbuild.build({
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    outExtension: { '.js': '.mjs' },
    logLevel: 'warning',
    ...options,
  })
}

/** Feeds the names and contents of all files at or under `at`, but for generated ones. */
function hashFiles(hash, at) {
  if (at === generated) return
  if (statSync(at).isDirectory())
    for (const name of readdirSync(at).sort()) hashFiles(hash, path.join(at, name))
  else
    hash
      .update(`${path.relative(root, at)}\0`)
      .update(readFileSync(at))
      .update('\0')
}

/** Generates the kernels' types and bundles dist/, unless dist/ was built from the same inputs. */
export async function build() {
  const hash = createHash('sha256')
  for (const input of inputs) hashFiles(hash, path.join(root, input))
  const stamp = hash.digest('hex')
  if (
    outputs.every((output) => existsSync(output)) &&
    existsSync(stampFile) &&
    readFileSync(stampFile, 'utf8') === stamp
  )
    return
  await generateShaders()
  await bundle({ entryPoints: { cli: 'src/cli/main.ts', index: 'src/index.ts' }, outdir: 'dist' })
  writeFileSync(stampFile, stamp)
}
