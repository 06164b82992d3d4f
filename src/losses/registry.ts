import type { ObjectiveDefinition } from './objective.ts'
import { softmax } from './softmax.ts'
import { squaredError } from './squaredError.ts'

/** The objectives by name, in the order in which reports list them. */
export const objectives: ReadonlyMap<string, ObjectiveDefinition> = new Map(
  [softmax, squaredError].map((objective) => [objective.name, objective]),
)

/** @throws Error listing the known names */
export function objectiveNamed(name: string): ObjectiveDefinition {
  const found = objectives.get(name)
  if (!found)
    throw new Error(
      `unknown objective ${name}, expected one of ${[...objectives.keys()].join(', ')}`,
    )
  return found
}
