/**
 * The streams of random numbers: one for each purpose, so that no two purposes share a draw.
 * `step` of a stream is what the comment says. The numbers are part of what makes a seed
 * repeatable: add new ones, never change one.
 */
export const streams = {
  /** Initial weights; step = the parameter's number in the model. */
  init: 1,
  /** Order of the training examples; step = epoch. */
  shuffle: 2,
  /** Drawing subsets and train/test splits; step = what is drawn from (a class, a part). */
  split: 3,
  /** Dropout masks; step = training step. */
  dropout: 4,
  /** Augmentation parameters; step = epoch, words 64 i on = example i. */
  augment: 5,
  /** Order of minibatches and resampling in analyses; step = pass. */
  analysis: 6,
  /** Made-up inputs of self-tests, benchmarks and fixtures; step = which input. */
  synthetic: 7,
  /** Weight of Mixup; step = training step. */
  mixupWeight: 8,
  /** Partners of Mixup; step = training step. */
  mixupPartner: 9,
} as const
