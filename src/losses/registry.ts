import { combine } from './combine.ts'
import { cosineSoftmax } from './cosineSoftmax.ts'
import type { ObjectiveDefinition } from './definition.ts'
import { dropoutObjective } from './dropout.ts'
import { extraL2 } from './extraL2.ts'
import { labelSmoothing } from './labelSmoothing.ts'
import { logitNorm } from './logitNorm.ts'
import { logitPenalty } from './logitPenalty.ts'
import { sigmoid } from './sigmoid.ts'
import { softmax } from './softmax.ts'
import { squaredError } from './squaredError.ts'

/** The objectives by name, in the order in which the paper's tables and our reports list them. */
export const objectives: ReadonlyMap<string, ObjectiveDefinition> = new Map(
  [
    softmax,
    labelSmoothing,
    dropoutObjective,
    extraL2,
    logitPenalty,
    logitNorm,
    cosineSoftmax,
    sigmoid,
    squaredError,
  ].map((objective) => [objective.name, objective]),
)

/**
 * An objective, or a combination of two as `logit-norm+sigmoid`.
 *
 * @throws Error listing the known names, or saying why the two have no combination
 */
export function objectiveNamed(name: string): ObjectiveDefinition {
  const parts = name.split('+').map((part) => {
    const found = objectives.get(part)
    if (!found)
      throw new Error(
        `unknown objective ${part}, expected one of ${[...objectives.keys()].join(', ')}`,
      )
    return found
  })
  const [first, second] = parts
  if (parts.length > 2) throw new Error(`${name} combines ${parts.length} objectives, expected two`)
  return second ? combine(first!, second) : first!
}
