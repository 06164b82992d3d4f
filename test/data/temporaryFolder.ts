import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []
process.on('exit', () => {
  for (const folder of made) fs.rmSync(folder, { recursive: true, force: true })
})

/** A new empty folder that goes when the process ends. */
export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'gramgrad-test-'))
  made.push(folder)
  return folder
}

/** The message of the error that a promise must reject with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error.message
    throw error
  }
  throw new Error('resolved, expected a rejection')
}
