import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'

/** Where installed data sets are: $GRAMGRAD_DATA, or ~/.cache/gramgrad/datasets. */
export function dataFolder(): string {
  const given = process.env.GRAMGRAD_DATA
  return given ? resolve(given) : join(homedir(), '.cache/gramgrad/datasets')
}
