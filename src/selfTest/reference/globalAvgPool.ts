import { type HostTensor, zeros } from './hostTensor.ts'

/** Mean over H and W: x [N, H, W, C] -> [N, C]. */
export function globalAvgPool({ x }: { x: HostTensor }): HostTensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number]
  const pixels = height * width
  const value = zeros([batch, channels])
  for (let n = 0; n < batch; n++)
    for (let p = 0; p < pixels; p++)
      for (let c = 0; c < channels; c++)
        value[n * channels + c]! += x.value[(n * pixels + p) * channels + c]! / pixels
  return { value, shape: [batch, channels] }
}
