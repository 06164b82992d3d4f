import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { writeFileWhole } from '../../data/files.ts'

interface Stored {
  readonly inputs: string
  readonly result: unknown
}

/**
 * What `compute` finds, kept in a file: computed once for the same inputs, also over restarts.
 * The file is written whole or not at all, so a killed process only loses the stage in hand.
 *
 * @param inputs all that the result depends on; anything else there makes it computed again
 */
export async function stage<T>(
  file: string,
  inputs: unknown,
  compute: () => Promise<T>,
): Promise<{ readonly result: T; readonly reused: boolean }> {
  const key = digest(inputs)
  const stored = await readStage<T>(file, inputs)
  if (stored !== undefined) return { result: stored, reused: true }
  const result = await compute()
  const text = JSON.stringify({ inputs: key, result }, null, 1)
  await writeFileWhole(file, `${text}\n`)
  // As it will be read, so that a first and a later reading can't differ.
  return { result: (JSON.parse(text) as { result: T }).result, reused: false }
}

/** A stage's result where it is there for these inputs. */
export async function readStage<T>(file: string, inputs: unknown): Promise<T | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const stored = JSON.parse(text) as Stored
    return stored.inputs === digest(inputs) ? (stored.result as T) : undefined
  } catch {
    return undefined
  }
}

/** 16 hexadecimal digits of a value; the order of an object's keys does not count. */
export function digest(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex').slice(0, 16)
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`)
  return `{${entries.join(',')}}`
}
