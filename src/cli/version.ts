import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { packageRoot } from '../data/packageRoot.ts'

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** This package's version. */
export function packageVersion(): string {
  return versionIn(path.join(packageRoot(), 'package.json'))
}

/** The version of the npm package `webgpu` that is installed. */
export function webgpuVersion(): string {
  const entry = createRequire(import.meta.url).resolve('webgpu')
  return versionIn(path.join(path.dirname(entry), 'package.json'))
}
