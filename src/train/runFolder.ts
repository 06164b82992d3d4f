import { appendFile, mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { parse, stringify } from 'smol-toml'
import { writeFileWhole } from '../data/files.ts'
import type { TrainConfig } from './config.ts'

/** A line of metrics.jsonl: a logged step or an epoch. */
export type MetricsLine =
  | { readonly step: number; readonly loss: number; readonly lr: number }
  | { readonly epoch: number; readonly step: number; readonly loss: number }

/** A run's folder: config.toml, metrics.jsonl, checkpoints/, weights.safetensors, log.txt. */
export class RunFolder {
  constructor(readonly folder: string) {}

  file(name: string): string {
    return path.join(this.folder, name)
  }

  /**
   * Makes the folder hold a run of this configuration: as it is where it already does, emptied where
   * it holds another.
   *
   * @returns whether there is a run of this configuration to go on with
   * @throws Error naming the folder when it can't be written
   */
  async prepare(config: TrainConfig): Promise<boolean> {
    const text = stringify(config)
    try {
      const before = await readFile(this.file('config.toml'), 'utf8').catch(() => undefined)
      if (before !== undefined && isSame(before, text)) return true
      await rm(this.folder, { recursive: true, force: true })
      await mkdir(this.folder, { recursive: true })
      await writeFileWhole(this.file('config.toml'), text)
    } catch (error) {
      throw new Error(`the run folder ${this.folder} can't be written: ${(error as Error).message}`)
    }
    return false
  }

  /** The lines up to and including `step`. */
  async metrics(step: number): Promise<MetricsLine[]> {
    const text = await readFile(this.file('metrics.jsonl'), 'utf8').catch(() => '')
    const lines = text.split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line) as MetricsLine).filter((line) => line.step <= step)
  }

  async writeMetrics(lines: readonly MetricsLine[]): Promise<void> {
    await writeFileWhole(
      this.file('metrics.jsonl'),
      lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    )
  }

  async log(text: string): Promise<void> {
    await appendFile(this.file('log.txt'), `${new Date().toISOString()} ${text}\n`)
  }
}

function isSame(a: string, b: string): boolean {
  try {
    return stringify(parse(a)) === b
  } catch {
    return false
  }
}
