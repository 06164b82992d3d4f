import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { fileError } from '../../data/files.ts'

const number = v.pipe(v.number(), v.finite())

const schema = v.object({
  /** What made them, such as a version of PyTorch. */
  torch: v.string(),
  /** By run, as the study names them. */
  runs: v.record(v.string(), v.object({ top1: number, r2: v.record(v.string(), number) })),
})

/** The same study's runs by another system: reference/twinStudy.py writes them. */
export type TwinResults = v.InferOutput<typeof schema>

/** @throws Error naming the file when it can't be read or holds something else */
export async function readTwinResults(file: string): Promise<TwinResults> {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw fileError(file, 'read', error)
  })
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`)
  }
  const found = v.safeParse(schema, parsed)
  if (!found.success)
    throw new Error(`${file} is not what reference/twinStudy.py writes: ${found.issues[0].message}`)
  return found.output
}
