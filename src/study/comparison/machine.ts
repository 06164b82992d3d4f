import { readFile } from 'node:fs/promises'
import path from 'node:path'
import * as v from 'valibot'
import { writeFileWhole } from '../../data/files.ts'

const schema = v.object({
  /** The command line, as a user would type it. */
  command: v.string(),
  versions: v.object({ gramgrad: v.string(), node: v.string(), webgpu: v.string() }),
  device: v.object({ adapter: v.string(), backend: v.string(), software: v.boolean() }),
})

/** What a study ran with, last. */
export type Machine = v.InferOutput<typeof schema>

const FILE = 'machine.json'

export async function writeMachine(out: string, machine: Machine): Promise<void> {
  await writeFileWhole(path.join(out, FILE), `${JSON.stringify(machine, null, 1)}\n`)
}

/** Undefined where no run has left it. */
export async function readMachine(out: string): Promise<Machine | undefined> {
  const text = await readFile(path.join(out, FILE), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const found = v.safeParse(schema, JSON.parse(text))
    return found.success ? found.output : undefined
  } catch {
    return undefined
  }
}
