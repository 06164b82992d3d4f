import type { LogitTerms } from '../../losses/definition.ts'
import type { Targets } from '../../losses/targets.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'
import { adjustedLogits, squaredNorm } from './logitTerms.ts'
import { distribution } from './targets.ts'

/** Mean over the batch of eq. 2 on the logits of eq. 6, plus eq. 5's penalty: logits [N, K] -> [1]. */
export function softmaxCrossEntropy(
  { logits }: { logits: HostTensor },
  attributes: HostAttributes<Targets> & LogitTerms & { smoothing?: number },
): HostTensor {
  const { smoothing = 0, penalty = 0 } = attributes
  const [batch, classes] = logits.shape as [number, number]
  const t = distribution(logits, attributes)
  let sum = 0
  for (let n = 0; n < batch; n++) {
    const z = logits.value.subarray(n * classes, (n + 1) * classes)
    const y = adjustedLogits(z, attributes)
    const largest = y.reduce((a, b) => Math.max(a, b))
    const logSum = largest + Math.log(y.reduce((s, v) => s + Math.exp(v - largest), 0))
    for (let k = 0; k < classes; k++) {
      const target = (1 - smoothing) * t[n * classes + k]! + smoothing / classes
      sum += (target * (logSum - y[k]!)) / (1 - smoothing)
    }
    sum += penalty * squaredNorm(z)
  }
  return { value: Float64Array.of(sum / batch), shape: [1] }
}
