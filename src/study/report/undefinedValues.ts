import type { CkaComparison, StudyResult } from '../studyResult.ts'
import { formatList, isDefined } from './format.ts'

/** Why a quantity of a layer is undefined. */
export function layerReason(
  objective: { readonly undefined?: Readonly<Record<string, string>> },
  layer: string,
  quantity: string,
): string {
  return objective.undefined?.[`${layer}.${quantity}`] ?? noReason
}

/** Why the CKA of two layers is undefined. */
export function ckaReason(comparison: CkaComparison, layerA: string, layerB: string): string {
  return comparison.undefined?.[`${layerA}/${layerB}`] ?? noReason
}

const noReason = 'no reason was recorded'

/** One sentence for every reason that made values undefined, naming what it hit. */
export function undefinedNotes(result: StudyResult): string[] {
  const notes: string[] = []
  for (const objective of result.objectives) {
    const layersByReason = new Map<string, string[]>()
    for (const { name, r2 } of objective.layers) {
      if (!isDefined(r2)) append(layersByReason, layerReason(objective, name, 'r2'), name)
    }
    for (const [reason, layers] of layersByReason) {
      notes.push(`R² of ${objective.label} is undefined in ${formatList(layers)}: ${reason}.`)
    }
  }
  const labels = new Map(result.objectives.map(({ name, label }) => [name, label]))
  for (const comparison of result.cka) {
    const pairsByReason = new Map<string, string[]>()
    comparison.matrix.forEach((row, i) => {
      row.forEach((value, j) => {
        if (isDefined(value)) return
        const a = comparison.layersA[i]!
        const b = comparison.layersB[j]!
        append(pairsByReason, ckaReason(comparison, a, b), `${a} and ${b}`)
      })
    })
    for (const [reason, pairs] of pairsByReason) {
      const which =
        pairs.length === 1 ? pairs[0]! : `${pairs.length} pairs of layers (the first: ${pairs[0]})`
      notes.push(
        `CKA between ${labels.get(comparison.a)} and ${labels.get(comparison.b)} is undefined for ${which}: ${reason}.`,
      )
    }
  }
  return notes
}

function append(lists: Map<string, string[]>, key: string, item: string) {
  const list = lists.get(key)
  if (list) list.push(item)
  else lists.set(key, [item])
}
