import type { RandomStream } from '../random/randomStream.ts'

/** Initial weights: torchvision's, or those of the paper's authors (TensorFlow 1). */
export const initialisations = ['torchvision', 'paper'] as const

export type Initialisation = (typeof initialisations)[number]

/** The value at an index of a parameter. */
export type InitialValue = (stream: RandomStream, index: number) => number

// Standard deviation of a standard normal that is cut at 2.
const CUT_DEVIATION = 0.87962566103423978

/**
 * Weights of a convolution. `torchvision`: normal of variance 2 / fan_out (kaiming_normal_, He et
 * al. 2015). `paper`: tf.variance_scaling_initializer(), a normal cut at two deviations and widened
 * to variance 1 / fan_in.
 */
export function convolutionWeights(
  init: Initialisation,
  { fanIn, fanOut }: { readonly fanIn: number; readonly fanOut: number },
): InitialValue {
  if (init === 'torchvision') {
    const deviation = Math.sqrt(2 / fanOut)
    return (stream, index) => deviation * stream.normal(index)
  }
  const deviation = Math.sqrt(1 / fanIn) / CUT_DEVIATION
  return (stream, index) => deviation * stream.truncatedNormal(index)
}

/**
 * Weight and bias of the last layer. `torchvision`: both uniform in +-1/sqrt(fan_in) (nn.Linear).
 * `paper`: weights normal of deviation 0.01, bias 0.
 */
export function linearValues(
  init: Initialisation,
  fanIn: number,
): { readonly weight: InitialValue; readonly bias: InitialValue } {
  if (init === 'paper')
    return { weight: (stream, index) => 0.01 * stream.normal(index), bias: () => 0 }
  const bound = 1 / Math.sqrt(fanIn)
  const uniform: InitialValue = (stream, index) => bound * (2 * stream.uniform(index) - 1)
  return { weight: uniform, bias: uniform }
}
