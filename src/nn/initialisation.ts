import type { RandomStream } from '../random/randomStream.ts'

/** Initial weights: torchvision's, or those of the paper's authors (TensorFlow 1). */
export const initialisations = ['torchvision', 'paper'] as const

export type Initialisation = (typeof initialisations)[number]

/** Fills a parameter with its initial values. */
export type InitialValues = (stream: RandomStream, values: Float32Array) => void

/** One value everywhere. */
export const constant =
  (value: number): InitialValues =>
  (_, values) => {
    values.fill(value)
  }

/** A draw at each index. */
const each =
  (draw: (stream: RandomStream, index: number) => number): InitialValues =>
  (stream, values) => {
    for (let i = 0; i < values.length; i++) values[i] = draw(stream, i)
  }

/** Normal of mean 0. */
const normal =
  (deviation: number): InitialValues =>
  (stream, values) =>
    stream.fillNormal(values, deviation)

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
): InitialValues {
  if (init === 'torchvision') return normal(Math.sqrt(2 / fanOut))
  const deviation = Math.sqrt(1 / fanIn) / CUT_DEVIATION
  return each((stream, index) => deviation * stream.truncatedNormal(index))
}

/**
 * Weight and bias of the last layer. `torchvision`: both uniform in +-1/sqrt(fan_in) (nn.Linear).
 * `paper`: weights normal of deviation 0.01, bias 0.
 */
export function linearValues(
  init: Initialisation,
  fanIn: number,
): { readonly weight: InitialValues; readonly bias: InitialValues } {
  if (init === 'paper') return { weight: normal(0.01), bias: constant(0) }
  const bound = 1 / Math.sqrt(fanIn)
  const uniform = each((stream, index) => bound * (2 * stream.uniform(index) - 1))
  return { weight: uniform, bias: uniform }
}
