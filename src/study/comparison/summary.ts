import type { StudyData } from '../plan/oneRun.ts'
import { transferMetric } from '../plan/studyFile.ts'
import { isDefined } from '../report/format.ts'
import type { EpochSeparation, RunRecord } from './records.ts'
import { type Estimate, estimate } from './statistics.ts'
import type { TwinResults } from './twinResults.ts'

/** A layer over the seeds; an estimate is null where a run's value is undefined. */
export interface LayerSummary {
  readonly name: string
  readonly r2: Estimate | null
  readonly nonZero: Estimate | null
}

/** Accuracies by method, over the seeds. */
export interface TransferSummary {
  readonly linear?: Estimate
  readonly knn?: Estimate
}

/** An objective, or one with a swept value, over its seeds. */
export interface ObjectiveSummary {
  /** Of the objective, with the swept values behind it: `cosine-softmax tau=0.02`. */
  readonly key: string
  readonly name: string
  readonly label: string
  readonly swept: Readonly<Record<string, number>>
  readonly records: readonly RunRecord[]
  readonly top1: Estimate
  readonly top5: Estimate | null
  readonly layers: readonly LayerSummary[]
  /** By data set. */
  readonly transfer: Readonly<Record<string, TransferSummary>>
  /** The mean over the data sets of each run. */
  readonly meanTransfer: TransferSummary
  /** Mean over the seeds after each epoch that was looked at. */
  readonly trajectory: readonly EpochSeparation[]
}

/** A study's finished runs, and what is shown beside them. */
export interface StudySummary {
  readonly data: StudyData
  readonly planned: number
  readonly records: readonly RunRecord[]
  /** Of the main comparison, in the order of the study. */
  readonly objectives: readonly ObjectiveSummary[]
  readonly sweeps: readonly ObjectiveSummary[]
  readonly twin?: TwinResults
}

const transferMethods = ['linear', 'knn'] as const

/** @throws Error when no run of the main comparison is finished */
export function summarise(
  data: StudyData,
  planned: number,
  records: readonly RunRecord[],
  twin?: TwinResults,
): StudySummary {
  const groups = new Map<string, RunRecord[]>()
  for (const record of records) {
    const { objective, swept } = record.run
    const values = Object.entries(swept).map(([key, value]) => ` ${key}=${value}`)
    const key = objective.name + values.join('')
    groups.set(key, [...(groups.get(key) ?? []), record])
  }
  const all = [...groups].map(([key, group]) => summaryOf(data, key, group))
  const isSwept = ({ swept }: ObjectiveSummary) => Object.keys(swept).length > 0
  const objectives = all.filter((summary) => !isSwept(summary))
  if (objectives.length === 0)
    throw new Error(`${data.out} has no finished run yet, expected some to report on: study run`)
  const sweeps = all.filter(isSwept)
  return { data, planned, records, objectives, sweeps, ...(twin ? { twin } : {}) }
}

function summaryOf(data: StudyData, key: string, records: readonly RunRecord[]): ObjectiveSummary {
  const { objective, swept } = records[0]!.run
  const sets = [...data.transfer.keys()]
  const accuracyOf = (record: RunRecord, set: string, method: 'linear' | 'knn') => {
    const found = record.transfer[set]?.[method]
    return (
      found && (transferMetric(data.study, set) === 'top1' ? found.accuracy : found.meanPerClass)
    )
  }
  const over = (of: (record: RunRecord, method: 'linear' | 'knn') => number | undefined) => {
    const summary: { linear?: Estimate; knn?: Estimate } = {}
    for (const method of transferMethods) {
      const values = records.map((record) => of(record, method))
      if (values.every(isDefined)) summary[method] = estimate(values)
    }
    return summary
  }
  return {
    key,
    name: objective.name,
    label: objective.label,
    swept,
    records,
    top1: estimate(records.map(({ evaluation }) => evaluation.top1)),
    top5: definedEstimate(records.map(({ evaluation }) => evaluation.top5)),
    layers: records[0]!.layers.layers.map(({ name }, i) => ({
      name,
      r2: definedEstimate(records.map(({ layers }) => layers.layers[i]!.r2)),
      nonZero: definedEstimate(records.map(({ layers }) => layers.layers[i]!.nonZero)),
    })),
    transfer: Object.fromEntries(
      sets.map((set) => [set, over((record, method) => accuracyOf(record, set, method))]),
    ),
    meanTransfer: over((record, method) => {
      const values = sets.map((set) => accuracyOf(record, set, method))
      return values.length > 0 && values.every(isDefined) ? estimate(values).mean : undefined
    }),
    trajectory: meanTrajectory(records),
  }
}

function definedEstimate(values: readonly (number | null)[]): Estimate | null {
  return values.every(isDefined) ? estimate(values) : null
}

function meanTrajectory(records: readonly RunRecord[]): EpochSeparation[] {
  const epochs = [...new Set(records.flatMap(({ trajectory }) => trajectory.map((at) => at.epoch)))]
  return epochs
    .sort((a, b) => a - b)
    .map((epoch) => {
      const found = records.flatMap(({ trajectory }) =>
        trajectory.filter((at) => at.epoch === epoch),
      )
      const mean = (of: (at: EpochSeparation) => number | null) =>
        definedEstimate(found.map(of))?.mean ?? null
      return { epoch, train: mean(({ train }) => train), test: mean(({ test }) => test) }
    })
}

/** The last layer looked at. */
export function penultimateOf({ layers }: ObjectiveSummary): LayerSummary {
  return layers.at(-1)!
}
