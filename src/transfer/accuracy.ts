/** How well labels were predicted. */
export interface Accuracy {
  /** Share of all examples, 0..1. */
  readonly accuracy: number
  /** Mean over the classes with examples of the share of each, 0..1. */
  readonly meanPerClass: number
  /** [classes]: of each class; null for one without examples. */
  readonly perClass: readonly (number | null)[]
}

/**
 * Top-1 and per-class accuracy; a class without examples counts in neither mean.
 *
 * @throws Error when there are no examples or the lengths differ
 */
export function accuracyOf(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): Accuracy {
  if (predicted.length !== labels.length || labels.length === 0)
    throw new Error(`accuracy: ${predicted.length} predictions came for ${labels.length} labels`)
  const right = new Uint32Array(classes)
  const count = new Uint32Array(classes)
  for (let i = 0; i < labels.length; i++) {
    count[labels[i]!]!++
    if (predicted[i] === labels[i]) right[labels[i]!]!++
  }
  const perClass = Array.from(count, (n, k) => (n > 0 ? right[k]! / n : null))
  const defined = perClass.filter((share) => share !== null)
  return {
    accuracy: right.reduce((a, b) => a + b, 0) / labels.length,
    meanPerClass: defined.reduce((a, b) => a + b, 0) / defined.length,
    perClass,
  }
}
