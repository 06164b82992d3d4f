import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The folder of this package: the first one upward that holds gramgrad's package.json. So
 * committed data is found alike from the sources, a bundle, a test's build and an installation.
 *
 * @param from URL of the module that asks.
 * @throws Error when no folder above has it.
 */
export function packageRoot(from: string = import.meta.url): string {
  const start = dirname(fileURLToPath(from))
  for (let folder = start; ; folder = dirname(folder)) {
    if (packageName(join(folder, 'package.json')) === 'gramgrad') return folder
    if (folder === dirname(folder)) {
      throw new Error(`no folder from ${start} upward has the package.json of gramgrad`)
    }
  }
}

function packageName(file: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).name
  } catch {
    return undefined
  }
}
