import type { HostTensor } from './hostTensor.ts'
import { squaredNorm } from './logitTerms.ts'

/** loss + factor * |weight|² (eq. 4): loss [1], weight of any shape -> [1]. */
export function addSquaredNorm(
  { loss, weight }: { loss: HostTensor; weight: HostTensor },
  { factor }: { factor: number },
): HostTensor {
  return {
    value: Float64Array.of(loss.value[0]! + factor * squaredNorm(weight.value)),
    shape: [1],
  }
}
