import type { StudyResult } from '../studyResult.ts'
import { isDefined } from './format.ts'
import { paperRow } from './paperTable3.ts'
import { type RankCorrelation, spearman } from './spearman.ts'
import { penultimate } from './tables.ts'

/** How the order of R² in the penultimate layer compares with the paper's Table 3. */
export interface PaperOrder extends RankCorrelation {
  /** Objectives of the paper whose R² is defined here. */
  readonly objectives: number
  /** Pairs of them, and how many stand in the same order in both. */
  readonly pairs: number
  readonly agreeing: number
}

/** Undefined where fewer than two objectives can be compared. */
export function paperOrder({ objectives }: StudyResult): PaperOrder | undefined {
  const rows = objectives.flatMap((objective) => {
    const ours = penultimate(objective).r2
    const paper = paperRow(objective.name)
    return isDefined(ours) && paper ? [{ ours, paper: paper.r2 }] : []
  })
  if (rows.length < 2) return undefined
  const pairs = rows.flatMap((a, i) => rows.slice(i + 1).map((b) => [a, b] as const))
  return {
    ...spearman(
      rows.map(({ ours }) => ours),
      rows.map(({ paper }) => paper),
    ),
    objectives: rows.length,
    pairs: pairs.length,
    agreeing: pairs.filter(([a, b]) => (a.ours - b.ours) * (a.paper - b.paper) > 0).length,
  }
}
