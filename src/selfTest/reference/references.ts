import { add } from './add.ts'
import { addSquaredNorm } from './addSquaredNorm.ts'
import { batchNorm, batchNormPreActivation } from './batchNorm.ts'
import { conv2d } from './conv2d.ts'
import { dropout } from './dropout.ts'
import { globalAvgPool } from './globalAvgPool.ts'
import type { HostTensor } from './hostTensor.ts'
import { linear } from './linear.ts'
import { maxPool2d } from './maxPool2d.ts'
import { normalize } from './normalize.ts'
import { relu } from './relu.ts'
import { scale } from './scale.ts'
import { sigmoidCrossEntropy } from './sigmoidCrossEntropy.ts'
import { softmaxCrossEntropy } from './softmaxCrossEntropy.ts'
import { squaredError } from './squaredError.ts'

/** An op's forward pass in double precision; attributes as `hostAttributes` gives them. */
export type Reference = (
  inputs: Readonly<Record<string, HostTensor>>,
  attributes: unknown,
) => HostTensor

// The gradient check knows an op by name only, so the types of its inputs end here.
const untyped = <I, A>(compute: (inputs: I, attributes: A) => HostTensor) =>
  compute as unknown as Reference

/** The float64 reference of every op, by the op's name. */
export const references: Readonly<Record<string, Reference>> = {
  add: untyped(add),
  addSquaredNorm: untyped(addSquaredNorm),
  batchNorm: untyped(batchNorm),
  conv2d: untyped(conv2d),
  dropout: untyped(dropout),
  globalAvgPool: untyped(globalAvgPool),
  linear: untyped(linear),
  maxPool2d: untyped(maxPool2d),
  normalize: untyped(normalize),
  relu: untyped(relu),
  scale: untyped(scale),
  sigmoidCrossEntropy: untyped(sigmoidCrossEntropy),
  softmaxCrossEntropy: untyped(softmaxCrossEntropy),
  squaredError: untyped(squaredError),
}

/**
 * For ops with a kink inside: values whose sign decides on which side they are. The gradient check
 * draws inputs that keep them away from 0. Kinks at equal or zero inputs need no entry.
 */
export const kinks: Readonly<Record<string, Reference>> = {
  batchNorm: (inputs, attributes) =>
    (attributes as { relu?: boolean }).relu
      ? untyped(batchNormPreActivation)(inputs, attributes)
      : { value: Float64Array.of(1), shape: [1] },
}
