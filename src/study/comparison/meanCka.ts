import { initialName } from '../plan/comparison.ts'
import { isDefined } from '../report/format.ts'
import type { CkaComparison } from '../studyResult.ts'
import type { RunRecord } from './records.ts'
import type { ObjectiveSummary, StudySummary } from './summary.ts'

/** A comparison of two runs by their objectives. */
interface PairOfRuns {
  readonly a: RunRecord
  readonly b: RunRecord
  readonly comparison: CkaComparison
}

/** All comparisons of runs of the main comparison. */
export function pairsOfRuns({ objectives }: StudySummary): PairOfRuns[] {
  const records = objectives.flatMap((objective) => objective.records)
  const byId = new Map(records.map((record) => [record.run.id, record]))
  return records.flatMap((a) =>
    a.cka.flatMap((comparison) => {
      const b = byId.get(comparison.b)
      return b ? [{ a, b, comparison }] : []
    }),
  )
}

/**
 * The mean over seeds of the CKA between networks of two objectives, seeds of the two being different
 * ones where the study has several; undefined where no such pair was compared.
 */
export function meanCka(
  pairs: readonly PairOfRuns[],
  a: string,
  b: string,
): CkaComparison | undefined {
  const found = pairs.flatMap(({ a: from, b: to, comparison }) => {
    const names = [from.run.objective.name, to.run.objective.name]
    if (names[0] === a && names[1] === b) return [comparison]
    return names[0] === b && names[1] === a ? [transposed(comparison)] : []
  })
  return meanOf(found, a, b)
}

/**
 * The mean over an objective's runs of the CKA with their own networks at initialisation; undefined where none was
 * compared.
 */
export function meanInitialCka({ name, records }: ObjectiveSummary): CkaComparison | undefined {
  const found = records.flatMap(({ run, cka }) => cka.filter(({ b }) => b === initialName(run)))
  return meanOf(found, name, `${name} at initialisation`)
}

function meanOf(found: readonly CkaComparison[], a: string, b: string): CkaComparison | undefined {
  const [first] = found
  if (!first) return undefined
  const matrix = first.matrix.map((row, i) =>
    row.map((_, j) => meanOrNull(found.map((comparison) => comparison.matrix[i]![j]))),
  )
  return {
    a,
    b,
    layersA: first.layersA,
    layersB: first.layersB,
    matrix,
    estimator: first.estimator,
    n: first.n,
    batches: first.batches,
  }
}

function transposed(comparison: CkaComparison): CkaComparison {
  const { layersA, layersB, matrix } = comparison
  return {
    ...comparison,
    layersA: layersB,
    layersB: layersA,
    matrix: layersB.map((_, j) => layersA.map((__, i) => matrix[i]![j]!)),
  }
}

function meanOrNull(values: readonly (number | null | undefined)[]): number | null {
  const defined = values.filter(isDefined)
  return defined.length === values.length
    ? defined.reduce((sum, value) => sum + value, 0) / defined.length
    : null
}
