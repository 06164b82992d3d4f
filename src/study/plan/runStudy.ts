import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { FolderInUseError, lockFolder } from '../../data/folderLock.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { TrainingInterrupted } from '../../train/trainer.ts'
import { compareRun, finishedComparison, meetsInitial, partnersOf } from './comparison.ts'
import { finishedRun, type RunHooks, type StudyData, takeRun } from './oneRun.ts'
import type { PlannedRun } from './plannedRuns.ts'

/** How often a process that has nothing left to take looks whether others are done. */
const WAIT_MILLISECONDS = 1000

export interface StudyRunHooks extends RunHooks {
  /** Told of what is begun: a run, or its comparison with others. */
  readonly onJob?: (name: string, done: number, total: number) => void
  /** Told once of runs that other processes work on. */
  readonly onWait?: (runs: readonly PlannedRun[]) => void
}

/** Every i-th of n runs, counted from 1, so that n processes divide a study among them. */
export interface Shard {
  readonly index: number
  readonly count: number
}

/** Which runs a process is asked for. */
export interface Selection {
  readonly only?: string | undefined
  readonly shard?: Shard | undefined
}

/**
 * The runs that this process is asked for.
 *
 * @throws Error when there is no run of that name
 */
export function selectRuns(
  runs: readonly PlannedRun[],
  { only, shard }: Selection,
): readonly PlannedRun[] {
  const named = only === undefined ? runs : runs.filter(({ id }) => id === only)
  if (named.length === 0)
    throw new Error(
      `the study has no run ${only}, expected one of ${runs.map(({ id }) => id).join(', ')}`,
    )
  return shard ? named.filter((_, i) => i % shard.count === shard.index - 1) : named
}

/** Training and all that needs one network, or the comparison with others that are trained. */
interface Job {
  readonly name: string
  readonly run: PlannedRun
  readonly isDone: () => Promise<boolean>
  /** Whether what it needs of other runs is there. */
  readonly isReady: () => Promise<boolean>
  readonly take: (gpu: Gpu, hooks: RunHooks) => Promise<void>
}

function jobsOf(data: StudyData, runs: readonly PlannedRun[], asked: readonly PlannedRun[]): Job[] {
  const isTrained = async (run: PlannedRun) => (await finishedRun(data, run)) !== undefined
  const training = asked.map((run) => ({
    name: run.id,
    run,
    isDone: () => isTrained(run),
    isReady: async () => true,
    take: (gpu: Gpu, hooks: RunHooks) => takeRun(gpu, data, run, hooks),
  }))
  const comparing = asked.flatMap((run) => {
    const partners = partnersOf(data, runs, run)
    if (partners.length === 0 && !meetsInitial(data, run)) return []
    return {
      name: `comparison of ${run.id}`,
      run,
      isDone: async () => (await finishedComparison(data, run, partners)) !== undefined,
      isReady: async () =>
        (await Promise.all([run, ...partners].map(isTrained))).every((trained) => trained),
      take: (gpu: Gpu, hooks: RunHooks) => compareRun(gpu, data, run, partners, hooks),
    }
  })
  return [...training, ...comparing]
}

/**
 * Takes all of these runs that are not finished, each by one process at a time: what another process
 * works on is waited for, and taken over should that process die. Then compares each with others; a
 * process that was asked for some runs only leaves out comparisons whose partners are not trained yet.
 *
 * @param runs all runs of the study
 * @throws TrainingInterrupted when the signal aborts
 */
export async function takeRuns(
  gpu: Gpu,
  data: StudyData,
  runs: readonly PlannedRun[],
  selection: Selection,
  hooks: StudyRunHooks,
): Promise<void> {
  const asked = selectRuns(runs, selection)
  const jobs = jobsOf(data, runs, asked)
  let told = false
  for (;;) {
    const open = await filter(jobs, async ({ isDone }) => !(await isDone()))
    const ready = await filter(open, ({ isReady }) => isReady())
    const isPart = asked.length < runs.length
    if (open.length === 0 || (isPart && ready.length === 0)) return
    if (hooks.signal?.aborted) throw new TrainingInterrupted(0)
    if (await takeFirst(gpu, data, ready, jobs.length - open.length, jobs.length, hooks)) continue
    if (!told) hooks.onWait?.([...new Set(open.map(({ run }) => run))])
    told = true
    await setTimeout(WAIT_MILLISECONDS)
  }
}

/** Takes the first job that no other process holds; returns whether there was one. */
async function takeFirst(
  gpu: Gpu,
  data: StudyData,
  jobs: readonly Job[],
  done: number,
  total: number,
  hooks: StudyRunHooks,
): Promise<boolean> {
  for (const { name, run, isDone, take } of jobs) {
    const lost = new AbortController()
    const unlock = await claim(path.join(data.out, 'claims', run.id), lost)
    if (!unlock) continue
    try {
      // Another process may have finished it since.
      if (await isDone()) continue
      hooks.onJob?.(name, done, total)
      const signal = AbortSignal.any([lost.signal, ...(hooks.signal ? [hooks.signal] : [])])
      await take(gpu, { ...hooks, signal })
      return true
    } finally {
      await unlock()
    }
  }
  return false
}

async function filter<T>(
  items: readonly T[],
  test: (item: T) => Promise<boolean>,
): Promise<readonly T[]> {
  const passed = await Promise.all(items.map(test))
  return items.filter((_, i) => passed[i])
}

/** The runs of which something is missing. */
export async function unfinished(
  data: StudyData,
  runs: readonly PlannedRun[],
): Promise<PlannedRun[]> {
  const open = await filter(jobsOf(data, runs, runs), async ({ isDone }) => !(await isDone()))
  return runs.filter((run) => open.some((job) => job.run === run))
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
