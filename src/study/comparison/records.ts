import { RunFolder } from '../../train/runFolder.ts'
import { finishedComparison, partnersOf } from '../plan/comparison.ts'
import { finishedRun, type RunResults, runFolderOf, type StudyData } from '../plan/oneRun.ts'
import type { PlannedRun } from '../plan/plannedRuns.ts'
import type { CkaComparison } from '../studyResult.ts'

/** Class separation of the penultimate features after an epoch. */
export interface EpochSeparation {
  readonly epoch: number
  readonly train: number | null
  readonly test: number | null
}

/** What is known of a finished run. */
export interface RunRecord extends RunResults {
  readonly run: PlannedRun
  readonly trajectory: readonly EpochSeparation[]
  /** With other runs, or its own beginning; `a` and `b` are runs, or `initialName`. Empty where it is not compared yet. */
  readonly cka: readonly CkaComparison[]
}

/** The finished runs of a study, in its order. */
export async function readRecords(
  data: StudyData,
  runs: readonly PlannedRun[],
): Promise<RunRecord[]> {
  const records: RunRecord[] = []
  for (const run of runs) {
    const results = await finishedRun(data, run)
    if (!results) continue
    const compared = await finishedComparison(data, run, partnersOf(data, runs, run))
    records.push({
      ...results,
      run,
      trajectory: await trajectoryOf(data.out, run),
      cka: compared?.cka ?? [],
    })
  }
  return records
}

async function trajectoryOf(out: string, run: PlannedRun): Promise<EpochSeparation[]> {
  const lines = await new RunFolder(runFolderOf(out, run)).metrics(run.config.steps)
  return lines.flatMap((line) => {
    if (!('epoch' in line) || !line.measures) return []
    const { r2Train = null, r2Test = null } = line.measures
    return [{ epoch: line.epoch, train: r2Train, test: r2Test }]
  })
}
