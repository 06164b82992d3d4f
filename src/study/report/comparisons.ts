import type { CkaComparison } from '../studyResult.ts'
import { isDefined } from './format.ts'

/** CKA of the layers that both networks have, in the order of `layersA`. */
export function correspondingLayers({
  layersA,
  layersB,
  matrix,
}: CkaComparison): { layer: string; cka: number | null }[] {
  return layersA.flatMap((layer, i) => {
    const j = layersB.indexOf(layer)
    if (j < 0) return []
    const value = matrix[i]![j]
    return [{ layer, cka: isDefined(value) ? value : null }]
  })
}

/**
 * The objective that every comparison has on one side, such as the softmax that all others are compared
 * with; undefined where there is none. One that stands on the same side throughout goes first.
 */
export function referenceObjective(comparisons: readonly CkaComparison[]): string | undefined {
  const first = comparisons[0]
  if (!first) return undefined
  return (
    [first.a, first.b].find((name) => comparisons.every(({ a }) => a === name)) ??
    [first.b, first.a].find((name) => comparisons.every(({ a, b }) => a === name || b === name))
  )
}
