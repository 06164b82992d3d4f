import type { Targets } from '../../losses/targets.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'

/** The distribution [N, K] that hard labels or soft targets stand for. */
export function distribution(
  logits: HostTensor,
  attributes: HostAttributes<Targets>,
): Float64Array {
  if (attributes.targets) return attributes.targets.value
  const classes = logits.shape[1]!
  const t = new Float64Array(logits.value.length)
  attributes.labels.value.forEach((label, n) => {
    t[n * classes + label] = 1
  })
  return t
}
