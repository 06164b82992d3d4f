import type { LogitTerms } from '../../losses/definition.ts'
import type { Targets } from '../../losses/targets.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'
import { adjustedLogits, squaredNorm } from './logitTerms.ts'
import { distribution } from './targets.ts'

const softplus = (v: number) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))

/** Mean over the batch of eq. 8 on (normalised) z + shift, plus eq. 5's penalty: [N, K] -> [1]. */
export function sigmoidCrossEntropy(
  { logits }: { logits: HostTensor },
  attributes: HostAttributes<Targets> & LogitTerms & { shift?: number },
): HostTensor {
  const { shift = 0, penalty = 0 } = attributes
  const [batch, classes] = logits.shape as [number, number]
  const t = distribution(logits, attributes)
  let sum = 0
  for (let n = 0; n < batch; n++) {
    const z = logits.value.slice(n * classes, (n + 1) * classes).map((v) => v + shift)
    adjustedLogits(z, attributes).forEach((v, k) => {
      const target = t[n * classes + k]!
      sum += target * softplus(-v) + (1 - target) * softplus(v)
    })
    sum += penalty * squaredNorm(z)
  }
  return { value: Float64Array.of(sum / batch), shape: [1] }
}
