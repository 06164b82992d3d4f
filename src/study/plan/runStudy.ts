import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Dataset } from '../../data/dataset.ts'
import { FolderInUseError, lockFolder } from '../../data/folderLock.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { TrainingInterrupted } from '../../train/trainer.ts'
import { finishedEvaluation, type RunHooks, takeRun } from './oneRun.ts'
import type { PlannedRun } from './plannedRuns.ts'
import type { Study } from './studyFile.ts'

/** How often a process that has nothing left to take looks whether others are done. */
const WAIT_MILLISECONDS = 1000

export interface StudyRunHooks extends RunHooks {
  readonly onRun?: (run: PlannedRun, done: number, total: number) => void
  /** Told once of runs that other processes work on. */
  readonly onWait?: (runs: readonly PlannedRun[]) => void
}

/** Every i-th of n runs, counted from 1, so that n processes divide a study among them. */
export interface Shard {
  readonly index: number
  readonly count: number
}

/**
 * The runs that this process is asked for.
 *
 * @throws Error when there is no run of that name
 */
export function selectRuns(
  runs: readonly PlannedRun[],
  { only, shard }: { readonly only?: string; readonly shard?: Shard },
): readonly PlannedRun[] {
  const named = only === undefined ? runs : runs.filter(({ id }) => id === only)
  if (named.length === 0)
    throw new Error(
      `the study has no run ${only}, expected one of ${runs.map(({ id }) => id).join(', ')}`,
    )
  return shard ? named.filter((_, i) => i % shard.count === shard.index - 1) : named
}

/**
 * Takes all of these runs that are not finished, each by one process at a time: what another process
 * works on is waited for, and taken over should that process die.
 *
 * @throws TrainingInterrupted when the signal aborts
 */
export async function takeRuns(
  gpu: Gpu,
  dataset: Dataset,
  study: Study,
  runs: readonly PlannedRun[],
  out: string,
  hooks: StudyRunHooks,
): Promise<void> {
  let told = false
  for (;;) {
    const left = await unfinished(runs, study, out)
    if (left.length === 0) return
    if (hooks.signal?.aborted) throw new TrainingInterrupted(0)
    let took = false
    for (const run of left) {
      const lost = new AbortController()
      const unlock = await claim(path.join(out, 'claims', run.id), lost)
      if (!unlock) continue
      try {
        // Another process may have finished it since.
        if (await finishedEvaluation(out, run, study)) continue
        hooks.onRun?.(run, runs.length - left.length, runs.length)
        const signal = AbortSignal.any([lost.signal, ...(hooks.signal ? [hooks.signal] : [])])
        await takeRun(gpu, dataset, study, run, out, { ...hooks, signal })
        took = true
        break
      } finally {
        await unlock()
      }
    }
    if (took) continue
    if (!told) hooks.onWait?.(left)
    told = true
    await setTimeout(WAIT_MILLISECONDS)
  }
}

/** The runs that have no evaluation of this configuration yet. */
export async function unfinished(
  runs: readonly PlannedRun[],
  study: Study,
  out: string,
): Promise<PlannedRun[]> {
  const found = await Promise.all(runs.map((run) => finishedEvaluation(out, run, study)))
  return runs.filter((_, i) => found[i] === undefined)
}

async function claim(
  folder: string,
  lost: AbortController,
): Promise<(() => Promise<void>) | undefined> {
  try {
    return await lockFolder(folder, (error) => lost.abort(error))
  } catch (error) {
    if (error instanceof FolderInUseError) return undefined
    throw error
  }
}
