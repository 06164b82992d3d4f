import type { Targets } from '../../losses/targets.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'
import { distribution } from './targets.ts'

/** Mean over the batch of -sum_k t_k log softmax(z)_k (eq. 1): logits [N, K] -> [1]. */
export function softmaxCrossEntropy(
  { logits }: { logits: HostTensor },
  attributes: HostAttributes<Targets>,
): HostTensor {
  const [batch, classes] = logits.shape as [number, number]
  const t = distribution(logits, attributes)
  let sum = 0
  for (let n = 0; n < batch; n++) {
    const z = logits.value.subarray(n * classes, (n + 1) * classes)
    const largest = Math.max(...z)
    const logSum = largest + Math.log(z.reduce((s, v) => s + Math.exp(v - largest), 0))
    for (let k = 0; k < classes; k++) sum += t[n * classes + k]! * (logSum - z[k]!)
  }
  return { value: Float64Array.of(sum / batch), shape: [1] }
}
