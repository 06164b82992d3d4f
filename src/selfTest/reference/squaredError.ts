import type { SquaredErrorParameters } from '../../losses/squaredError.ts'
import type { Targets } from '../../losses/targets.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'
import { distribution } from './targets.ts'

/** Mean over the batch of scale/K sum_k [kappa t (z - m)^2 + (1 - t) z^2] (eq. 9): [N, K] -> [1]. */
export function squaredError(
  { logits }: { logits: HostTensor },
  attributes: HostAttributes<Targets> & SquaredErrorParameters,
): HostTensor {
  const { kappa, m, scale } = attributes
  const [batch, classes] = logits.shape as [number, number]
  const t = distribution(logits, attributes)
  let sum = 0
  logits.value.forEach((z, i) => {
    sum += kappa * t[i]! * (z - m) ** 2 + (1 - t[i]!) * z ** 2
  })
  return { value: Float64Array.of((scale * sum) / classes / batch), shape: [1] }
}
