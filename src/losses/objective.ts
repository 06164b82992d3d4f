import { linear } from '../autograd/ops/linear.ts'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type {
  DropoutDraw,
  LastLayer,
  ObjectiveDefinition,
  RecipeContext,
  Variant,
} from './definition.ts'
import { logSoftmax } from './probabilities.ts'
import type { LossOutputs, Targets } from './targets.ts'

/** What a loss is computed of. */
export interface LossInput {
  /** Penultimate features [N, M]. */
  readonly features: Tensor
  readonly layer: LastLayer
  readonly target: Targets
  /** The mask of an objective that drops features; without it nothing is dropped. */
  readonly draw?: DropoutDraw
  readonly outputs?: LossOutputs
}

/** An objective ready to train with. It owns what happens from the penultimate features on. */
export interface Objective {
  readonly name: string
  readonly label: string
  readonly variant: Variant
  readonly classes: number
  /** Whether class 0 stands for no class of the data (D8): it is left out of what ranks and is predicted. */
  readonly background: boolean
  readonly hyperparameters: Readonly<Record<string, number>>
  /** Initial value of the last layer's bias, where it is not the network's own. */
  readonly initialBias?: number
  /** Why the loss of given logits is not defined, or undefined where it is. */
  readonly needsFeatures?: string
  /** Features [N, M] -> logits [N, K]. They are the scores that rank classes at test time. */
  logits(tape: Tape, features: Tensor, layer: LastLayer): Tensor
  /**
   * The mean loss over the batch, a scalar [1], of logits [N, K].
   *
   * @throws Error naming what does not fit, or where the objective acts on the features or on the
   *   last layer's weight: `needsFeatures` says so beforehand
   */
  loss(tape: Tape, logits: Tensor, target: Targets, outputs?: LossOutputs): Tensor
  /**
   * The same from the penultimate features, as training minimises it.
   *
   * @throws Error naming what does not fit
   */
  lossOfFeatures(tape: Tape, input: LossInput): Tensor
  /**
   * log p [N, K] in float64 of logits [N, K], row by row, for calibration; undefined where the paper
   * defines no probabilities (squared error). With `background` [N, K - 1], of classes 1 to K - 1 given
   * that it is one of them.
   */
  logProbabilities(logits: ArrayLike<number>): Float64Array | undefined
}

export interface ObjectiveOptions {
  /** Default 'paper'. */
  readonly variant?: Variant
  /**
   * Whether class 0 is the background class of the released code's 1001 (D8): it has its part in the
   * loss, as any class without examples, and none in evaluation. Default false.
   */
  readonly background?: boolean
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
  { variant = 'paper', background = false }: ObjectiveOptions = {},
): Objective {
  const { name, label } = definition
  if (!Number.isInteger(classes) || classes < 1)
    throw new Error(`${name}: classes is ${classes}, expected an integer of at least 1`)
  if (background && classes < 2)
    throw new Error(`${name}: classes is ${classes}, expected at least 2 with a background class`)
  if (variant !== 'paper' && variant !== 'released')
    throw new Error(`${name}: variant is ${variant}, expected paper or released`)
  const values = fillIn(definition, { classes, variant }, given)
  const recipe = definition.recipe(values, { classes, variant })
  const { terms = {}, needsFeatures } = recipe
  const logits: Objective['logits'] = (tape, features, layer) =>
    recipe.logits?.(tape, features, layer) ?? linear(tape, { x: features, ...layer }, {})
  return {
    name,
    label,
    variant,
    classes,
    background,
    hyperparameters: values,
    ...(recipe.initialBias === undefined ? {} : { initialBias: recipe.initialBias }),
    ...(needsFeatures ? { needsFeatures } : {}),
    logits,
    lossOfFeatures(tape, { features, layer, target, draw, outputs = {} }) {
      const x = draw && recipe.features ? recipe.features(tape, features, draw) : features
      const z = logits(tape, x, layer)
      checkClasses(name, z.shape, classes)
      const loss = recipe.loss(tape, z, { ...target, ...outputs }, terms)
      return recipe.finish?.(tape, loss, layer) ?? loss
    },
    loss(tape, z, target, outputs = {}) {
      if (needsFeatures) throw new Error(`${name} ${needsFeatures}`)
      checkClasses(name, z.shape, classes)
      return recipe.loss(tape, z, { ...target, ...outputs }, terms)
    },
    logProbabilities(z) {
      if (!recipe.logProbabilities) return undefined
      if (z.length % classes !== 0)
        throw new Error(`${name}: ${z.length} logits, expected rows of ${classes}`)
      const rows = Float64Array.from(z)
      for (let start = 0; start < rows.length; start += classes)
        recipe.logProbabilities(rows.subarray(start, start + classes), terms)
      if (!background) return rows
      const foreground = withoutBackground(rows, classes)
      for (let start = 0; start < foreground.length; start += classes - 1)
        logSoftmax(foreground.subarray(start, start + classes - 1))
      return foreground
    },
  }
}

/** Rows [N, K] without their column 0: [N, K - 1]. */
export function withoutBackground<T extends Float32Array | Float64Array>(
  rows: T,
  classes: number,
): T {
  return rows.filter((_, i) => i % classes !== 0) as T
}

function fillIn(
  { name: objective, hyperparameters: known }: ObjectiveDefinition,
  context: RecipeContext,
  given: Readonly<Record<string, number>>,
): Record<string, number> {
  for (const name of Object.keys(given))
    if (!known[name])
      throw new Error(
        `${objective} has no hyperparameter ${name}, only ${Object.keys(known).join(', ') || 'none'}`,
      )
  const values: Record<string, number> = {}
  for (const [name, hyperparameter] of Object.entries(known)) {
    const value = given[name] ?? hyperparameter.default(context, values)
    const why = Number.isFinite(value) ? hyperparameter.refuse(value) : 'a finite number'
    if (why) throw new Error(`${objective}: ${name} is ${value}, expected ${why}`)
    values[name] = value
  }
  return values
}

function checkClasses(loss: string, logits: readonly number[], classes: number): void {
  if (logits.length !== 2 || logits[1] !== classes)
    throw new Error(`${loss}: logits are [${logits}], expected [N, ${classes}]`)
}
