import { appendFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { parse, stringify } from 'smol-toml'
import { fileError, writeFileWhole } from '../data/files.ts'
import { type CompleteConfig, completeConfig, type TrainConfig } from './config.ts'

/** What a caller measured of the network after an epoch, by name; null where it is undefined. */
export type EpochMeasures = Readonly<Record<string, number | null>>

/** A line of metrics.jsonl: a logged step or an epoch. */
export type MetricsLine =
  | { readonly step: number; readonly loss: number; readonly lr: number }
  | {
      readonly epoch: number
      readonly step: number
      /** Mean over the steps of the epoch. */
      readonly loss: number
      /** On the images held out, where there are any. */
      readonly top1?: number
      readonly measures?: EpochMeasures
    }

const CONFIG = 'config.toml'
/** The final weights. */
export const WEIGHTS = 'weights.safetensors'
/** What a run writes besides its configuration. */
const RESULTS = ['metrics.jsonl', 'checkpoints', WEIGHTS, 'log.txt']

/** As write-file-atomic names a file until it is whole. */
const HALF_WRITTEN = /\.(toml|jsonl?|safetensors)\.\d+$/

/** A run's folder: config.toml, metrics.jsonl, checkpoints/, weights.safetensors, log.txt. */
export class RunFolder {
  constructor(readonly folder: string) {}

  file(name: string): string {
    return path.join(this.folder, name)
  }

  /**
   * Makes the folder hold a run of this configuration: as it is where it already does, without
   * another run's files where it holds those. Other files stay. How far to go (`maxSteps`) may
   * differ.
   *
   * @returns whether there is a run of this configuration to go on with
   * @throws Error naming the folder when it can't be written, or what it holds was not made by a run
   */
  async prepare(config: CompleteConfig): Promise<boolean> {
    await this.#removeHalfWritten()
    const stored = await this.readConfig()
    const same = stored !== undefined && differences(stored, config).length === 0
    // The configuration goes last: were the process killed here, the rest would still be a run's.
    if (!same)
      for (const name of RESULTS) await rm(this.file(name), { recursive: true, force: true })
    if (!same || stored.maxSteps !== config.maxSteps)
      await writeFileWhole(this.file(CONFIG), stringify(config))
    return same
  }

  /** What a process that was killed had not yet given its final name. */
  async #removeHalfWritten(): Promise<void> {
    for (const folder of [this.folder, this.file('checkpoints')]) {
      const names = await readdir(folder).catch(() => [])
      for (const name of names)
        if (HALF_WRITTEN.test(name)) await rm(path.join(folder, name), { force: true })
    }
  }

  /** Creates the folder. @throws Error naming it when that is not possible */
  async create(): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true })
    } catch (error) {
      throw fileError(this.folder, 'used as a run folder', error)
    }
  }

  /**
   * The configuration of the run that the folder holds, or undefined where there is none.
   *
   * @throws Error naming the folder when what it holds was not made by a run
   */
  async readConfig(): Promise<CompleteConfig | undefined> {
    const found = await stat(this.folder).catch(() => undefined)
    if (!found) return undefined
    if (!found.isDirectory())
      throw new Error(`${this.folder} cannot be used as a run folder: it is a file`)
    const names = await readdir(this.folder)
    if (!names.includes(CONFIG)) {
      const result = RESULTS.find((name) => names.includes(name))
      if (!result) return undefined
      throw new Error(
        `${this.folder} cannot be used as a run folder: it holds ${result} but no ${CONFIG}`,
      )
    }
    const file = this.file(CONFIG)
    const text = await readFile(file, 'utf8').catch((error) => {
      throw fileError(file, 'read', error)
    })
    try {
      const stored = parse(text)
      if ('objective' in stored && 'dataset' in stored)
        return completeConfig(stored as unknown as TrainConfig)
    } catch {}
    throw new Error(
      `${this.folder} cannot be used as a run folder: its ${CONFIG} is not that of a training run`,
    )
  }

  /** The lines up to and including `step`. */
  async metrics(step: number): Promise<MetricsLine[]> {
    const file = this.file('metrics.jsonl')
    const text = await readFile(file, 'utf8').catch(() => '')
    const lines = text.split('\n').filter(Boolean)
    try {
      const parsed = lines.map((line) => JSON.parse(line) as MetricsLine)
      return parsed.filter((line) => line.step <= step)
    } catch (error) {
      throw new Error(`${file} holds a line that is not JSON: ${(error as Error).message}`)
    }
  }

  async writeMetrics(lines: readonly MetricsLine[]): Promise<void> {
    await writeFileWhole(
      this.file('metrics.jsonl'),
      lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    )
  }

  async log(text: string): Promise<void> {
    const file = this.file('log.txt')
    await appendFile(file, `${new Date().toISOString()} ${text}\n`).catch((error) => {
      throw fileError(file, 'written', error)
    })
  }
}

/** What two configurations differ in, but for how far to go. */
export function differences(a: CompleteConfig, b: CompleteConfig): string[] {
  const text = (value: unknown) => JSON.stringify(value, Object.keys(value ?? {}).sort())
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])] as (keyof CompleteConfig)[]
  return names.filter((name) => name !== 'maxSteps' && text(a[name]) !== text(b[name]))
}
