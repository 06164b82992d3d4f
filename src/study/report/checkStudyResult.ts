import type { StudyResult } from '../studyResult.ts'

/**
 * Throws where a result cannot be reported: no objective, an objective twice, one without layers, or a
 * CKA comparison of unknown objectives or with a matrix that is not layersA x layersB.
 */
export function checkStudyResult({ objectives, cka }: StudyResult): void {
  if (objectives.length === 0) {
    throw new Error('objectives is empty: expected at least one trained objective.')
  }
  const names = new Set<string>()
  for (const { name, layers } of objectives) {
    if (names.has(name)) {
      throw new Error(`objectives has "${name}" twice: expected every objective once.`)
    }
    names.add(name)
    if (layers.length === 0) {
      throw new Error(`objectives: "${name}" has no layers, expected at least one.`)
    }
  }
  for (const { a, b, layersA, layersB, matrix } of cka) {
    for (const name of [a, b]) {
      if (!names.has(name)) {
        throw new Error(
          `cka compares "${name}", expected one of the objectives ${[...names].join(', ')}.`,
        )
      }
    }
    const columns = new Set(matrix.map((row) => row.length))
    if (matrix.length !== layersA.length || [...columns].some((n) => n !== layersB.length)) {
      throw new Error(
        `cka of "${a}" and "${b}": matrix has ${matrix.length} rows of ${[...columns].join(' or ')} columns, expected ${layersA.length} rows of ${layersB.length}.`,
      )
    }
  }
}
