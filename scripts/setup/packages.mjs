import { execSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { SetUpError, say, toStderr } from './setUpError.mjs'

const readPackages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages

/** Whether node_modules holds the locked version of every package (npm notes what it installed). */
function upToDate(root) {
  const locked = readPackages(path.join(root, 'package-lock.json'))
  let installed
  try {
    installed = readPackages(path.join(root, 'node_modules/.package-lock.json'))
  } catch {
    return false
  }
  return Object.entries(locked).every(
    ([folder, { version, optional }]) =>
      folder === '' || optional || installed[folder]?.version === version,
  )
}

/** Installs the locked packages where they are missing or of other versions. */
export function ensurePackages(root) {
  if (upToDate(root)) return
  say('installing the locked packages with npm ci')
  try {
    execSync('npm ci --include=dev --no-audit --no-fund', { cwd: root, stdio: toStderr })
  } catch {
    throw new SetUpError('npm ci failed: see its messages above.')
  }
}
