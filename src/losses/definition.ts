import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import type { LossOutputs, Targets } from './targets.ts'

/** The paper's text, or its authors' released code where the two differ. */
export type Variant = 'paper' | 'released'

/** A number that shapes an objective. */
export interface Hyperparameter {
  /** The paper's tuned value (Table A.1); another where it depends on the classes or the others. */
  readonly default: (context: RecipeContext, values: Readonly<Record<string, number>>) => number
  readonly meaning: string
  /** What was expected of a value that is not legal, or undefined for a legal one. */
  readonly refuse: (value: number) => string | undefined
}

export interface RecipeContext {
  readonly classes: number
  readonly variant: Variant
}

/** The last layer's weight [M, K] and bias [K]. */
export interface LastLayer {
  readonly weight: Tensor
  readonly bias: Tensor
}

/** Which dropout mask is drawn. */
export interface DropoutDraw {
  /** An integer in [0, 2^53 - 1]. */
  readonly seed: number
  /** [2]: the training step and the place of the first example in the step's batch. */
  readonly draw: GpuArray<'u32'>
}

/** What the kernels of losses on logits do besides, in the same pass. */
export interface LogitTerms {
  /** Replaces the logits z by z / (tau |z|) (eq. 6). */
  readonly tau?: number
  /** Adds penalty * |z|² (eq. 5). */
  readonly penalty?: number
}

/** What an objective adds to or changes about another: the part of it that combines. */
export interface RecipeTerm {
  /** In training only, what becomes of the features [N, M] before the last layer. */
  readonly features?: (tape: Tape, features: Tensor, draw: DropoutDraw) => Tensor
  /** Logits [N, K] from features [N, M]; `x weight + bias` without it. */
  readonly logits?: (tape: Tape, features: Tensor, layer: LastLayer) => Tensor
  readonly terms?: LogitTerms
  /** What becomes of the mean loss [1] at last. */
  readonly finish?: (tape: Tape, loss: Tensor, layer: LastLayer) => Tensor
  /** Why given logits are not enough, where they are not. */
  readonly needsFeatures?: string
}

/** An objective with its hyperparameters filled in, stage by stage. */
export interface Recipe extends RecipeTerm {
  /** The mean loss [1] of logits [N, K]. */
  readonly loss: (
    tape: Tape,
    logits: Tensor,
    target: Targets & LossOutputs,
    terms: LogitTerms,
  ) => Tensor
  /** Initial bias of the last layer where it is not the network's own. */
  readonly initialBias?: number
  /** log p_k of one example's logits in place; absent where the objective defines none. */
  readonly logProbabilities?: (logits: Float64Array, terms: LogitTerms) => void
}

/** An objective of the paper, before its hyperparameters are chosen. */
export interface ObjectiveDefinition {
  /** As the command line names it. */
  readonly name: string
  /** As figures name it. */
  readonly label: string
  readonly hyperparameters: Readonly<Record<string, Hyperparameter>>
  /** What `variant: 'released'` changes; absent where the paper's text and the code agree. */
  readonly released?: string
  recipe(values: Readonly<Record<string, number>>, context: RecipeContext): Recipe
  /** What it brings to a combination with another objective (Table C.4); absent for plain losses. */
  term?(values: Readonly<Record<string, number>>, context: RecipeContext): RecipeTerm
}

/** An objective that is softmax and a term which other losses can have too. */
export type Regulariser = Omit<ObjectiveDefinition, 'recipe' | 'term'> &
  Required<Pick<ObjectiveDefinition, 'term'>>

/** A hyperparameter that must be a number above 0. */
export const positive = (value: number) => (value > 0 ? undefined : 'a number above 0')

/** A hyperparameter that must be a number of at least 0. */
export const notNegative = (value: number) => (value >= 0 ? undefined : 'a number of at least 0')
