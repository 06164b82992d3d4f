import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

/** The clone's folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Exports of the engine's own sources, bundled into build/NAME.mjs.
 *
 * @param name of the script that asks
 * @param {Record<string, string[]>} parts exported names by source file, seen from the clone's folder
 */
export async function engineParts(name, parts) {
  const bundle = path.join(root, 'build', `${name}.mjs`)
  await build({
    stdin: {
      contents: Object.entries(parts)
        .map(([file, names]) => `export { ${names.join(', ')} } from './${file}'`)
        .join('\n'),
      resolveDir: root,
    },
    outfile: bundle,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  })
  return import(pathToFileURL(bundle))
}
