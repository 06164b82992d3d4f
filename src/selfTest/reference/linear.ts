import { type HostTensor, zeros } from './hostTensor.ts'

/** y = x weight + bias: x [N, in], weight [in, out], bias [out] -> [N, out]. */
export function linear({
  x,
  weight,
  bias,
}: {
  x: HostTensor
  weight: HostTensor
  bias?: HostTensor
}): HostTensor {
  const [batch, features] = x.shape as [number, number]
  const out = weight.shape[1]!
  const value = zeros([batch, out])
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < out; o++) {
      let sum = bias?.value[o] ?? 0
      for (let i = 0; i < features; i++)
        sum += x.value[n * features + i]! * weight.value[i * out + o]!
      value[n * out + o] = sum
    }
  return { value, shape: [batch, out] }
}
