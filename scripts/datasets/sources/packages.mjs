// Files of packages, each at an exact version.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Downloads an npm package and unpacks it; returns its folder. */
export async function npmPackage(work, spec) {
  const folder = path.join(work, spec.replace(/\W/g, '-'))
  await mkdir(folder)
  await run('npm', ['pack', '--silent', spec], { cwd: folder, shell: process.platform === 'win32' })
  const [archive] = await readdir(folder)
  await run('tar', ['xzf', archive], { cwd: folder })
  return path.join(folder, 'package')
}

/**
 * A folder of a Debian package: the installed one, or that of the package as it is downloaded, which
 * takes apt but not root.
 */
export async function debianFolder(work, name, folder) {
  if (existsSync(folder)) return folder
  try {
    await run('apt-get', ['download', name], { cwd: work })
  } catch (error) {
    throw new Error(
      `Debian's package ${name} is neither installed nor can apt-get download it: ${error.message}`,
    )
  }
  const archive = (await readdir(work)).find((file) => file.endsWith('.deb'))
  await run('dpkg-deb', ['-x', archive, name], { cwd: work })
  return path.join(work, name, folder)
}

/** @throws Error naming what was counted: the package is not the version this was written for */
export function expectCount(what, count, expected) {
  if (count !== expected) throw new Error(`${count} ${what} were found, expected ${expected}`)
}
