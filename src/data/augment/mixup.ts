import { RandomStream } from '../../random/randomStream.ts'
import { streams } from '../../random/streams.ts'

/** How the examples of one batch are mixed (Mixup). */
export interface Mixing {
  /** Weight of each example itself, 0 to 1; its partner has 1 - lambda. */
  readonly lambda: number
  /** u32 [B]: the partner of each place of the batch, a permutation. */
  readonly partners: Uint32Array
}

/**
 * Draws a batch's mixing: H. Zhang, M. Cisse, Y. Dauphin, D. Lopez-Paz, "mixup: Beyond empirical
 * risk minimization", ICLR 2018: lambda ~ Beta(alpha, alpha), one for the batch, and a random
 * permutation. Images and targets are mixed with the same.
 *
 * @param alpha above 0; the paper's study tries 0.1 to 0.4.
 * @param step of training (u32); part of the draw's key.
 * @throws RangeError when alpha is not positive or the batch is below 1.
 */
export function drawMixing(alpha: number, batch: number, seed: number, step: number): Mixing {
  if (!(alpha > 0 && alpha < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`alpha is ${alpha}, expected a positive number`)
  }
  if (!Number.isInteger(batch) || batch < 1) {
    throw new RangeError(`batch is ${batch}, expected an integer from 1`)
  }
  return {
    lambda: symmetricBeta(new RandomStream(seed, streams.mixupWeight, step), alpha),
    partners: new RandomStream(seed, streams.mixupPartner, step).permutation(batch),
  }
}

/**
 * A draw from Beta(alpha, alpha) as X / (X + Y) of two Gamma(alpha) variables: M. D. Joehnk's
 * rejection for alpha up to 1 (X = u^(1/alpha), accepted where X + Y <= 1), in logarithms, as
 * u^(1/0.1) underflows; for larger ones G. Marsaglia and W. W. Tsang, ACM TOMS 26 (2000).
 */
function symmetricBeta(random: RandomStream, alpha: number): number {
  if (alpha <= 1) {
    for (let i = 0; ; i += 2) {
      const x = Math.log(openUniform(random, i)) / alpha
      const y = Math.log(openUniform(random, i + 1)) / alpha
      const most = Math.max(x, y)
      const logSum = most + Math.log(Math.exp(x - most) + Math.exp(y - most))
      if (logSum <= 0) return Math.exp(x - logSum)
    }
  }
  const x = gamma(random, alpha, 0)
  const y = gamma(random, alpha, 2 ** 20)
  return x / (x + y)
}

function gamma(random: RandomStream, alpha: number, first: number): number {
  const d = alpha - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (let i = first; ; i += 4) {
    const z = random.normal(i)
    const v = (1 + c * z) ** 3
    const u = openUniform(random, i + 2)
    if (v > 0 && Math.log(u) < 0.5 * z * z + d * (1 - v + Math.log(v))) return d * v
  }
}

/** Uniform in (0, 1): never 0, of which the logarithm is none. */
function openUniform(random: RandomStream, index: number): number {
  return (random.bits(index) + 0.5) / 2 ** 32
}

/**
 * Soft targets of a mixed batch: lambda on an example's own class, the rest on its partner's.
 *
 * @param labels u32 [B].
 * @param classes K.
 * @returns f32 [B, K]; rows sum to 1.
 */
export function mixTargets(
  labels: Uint32Array,
  classes: number,
  { lambda, partners }: Mixing,
): Float32Array {
  const targets = new Float32Array(labels.length * classes)
  for (const [i, label] of labels.entries()) {
    targets[i * classes + label]! += lambda
    targets[i * classes + labels[partners[i]!]!]! += 1 - lambda
  }
  return targets
}
