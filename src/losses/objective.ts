import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { Targets } from './targets.ts'

/** A number that shapes an objective. */
export interface Hyperparameter {
  /** The paper's tuned value (Table A.1), scaled to the number of classes where it depends on it. */
  readonly default: (classes: number) => number
  readonly meaning: string
  /** What keeps a value from being legal, or undefined. */
  readonly refuse: (value: number) => string | undefined
}

/** An objective of the paper, before its hyperparameters are chosen. */
export interface ObjectiveDefinition {
  /** As the command line names it. */
  readonly name: string
  /** As figures name it. */
  readonly label: string
  readonly hyperparameters: Readonly<Record<string, Hyperparameter>>
  /** The mean loss over the batch, a scalar [1], from logits [N, K]. */
  loss(
    tape: Tape,
    logits: Tensor,
    target: Targets,
    hyperparameters: Readonly<Record<string, number>>,
  ): Tensor
}

/** An objective ready to train with. */
export interface Objective {
  readonly name: string
  readonly label: string
  readonly hyperparameters: Readonly<Record<string, number>>
  loss(tape: Tape, logits: Tensor, target: Targets): Tensor
}

/**
 * Fills in an objective's hyperparameters.
 *
 * @throws Error naming a hyperparameter that the objective does not have or may not have this value
 */
export function instantiate(
  definition: ObjectiveDefinition,
  classes: number,
  given: Readonly<Record<string, number>> = {},
): Objective {
  const known = definition.hyperparameters
  for (const name of Object.keys(given))
    if (!known[name])
      throw new Error(
        `${definition.name} has no hyperparameter ${name}, only ${Object.keys(known).join(', ') || 'none'}`,
      )
  const values: Record<string, number> = {}
  for (const [name, hyperparameter] of Object.entries(known)) {
    const value = given[name] ?? hyperparameter.default(classes)
    const why = Number.isFinite(value) ? hyperparameter.refuse(value) : 'a finite number'
    if (why) throw new Error(`${definition.name}: ${name} is ${value}, expected ${why}`)
    values[name] = value
  }
  return {
    name: definition.name,
    label: definition.label,
    hyperparameters: values,
    loss: (tape, logits, target) => definition.loss(tape, logits, target, values),
  }
}
