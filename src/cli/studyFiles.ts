import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../data/packageRoot.ts'

const ENDING = '.toml'

/** Studies that come with gramgrad, by name. */
export function presets(): string[] {
  return readdirSync(folder())
    .filter((name) => name.endsWith(ENDING))
    .map((name) => path.basename(name, ENDING))
}

/** The file that a user means: a preset by its name, where no file is called so, or a path. */
export function studyFile(given: string): string {
  if (existsSync(given) || !presets().includes(given)) return given
  return path.join(folder(), given + ENDING)
}

function folder(): string {
  return path.join(packageRoot(), 'studies')
}
