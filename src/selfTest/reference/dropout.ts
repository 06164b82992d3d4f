import type { DropoutDraw } from '../../losses/definition.ts'
import { RandomStream } from '../../random/randomStream.ts'
import { streams } from '../../random/streams.ts'
import type { HostAttributes, HostTensor } from './hostTensor.ts'

/** x * xi / keep (eq. 3), xi drawn as the op documents: x [N, M] -> [N, M]. */
export function dropout(
  { x }: { x: HostTensor },
  { keep, seed, draw }: HostAttributes<DropoutDraw & { keep: number }>,
): HostTensor {
  const [step, first] = draw.value as unknown as [number, number]
  const stream = new RandomStream(seed, streams.dropout, step)
  const threshold = Math.round(keep * 2 ** 24) / 2 ** 24
  const value = x.value.map((v, i) =>
    stream.uniform(first * x.shape[1]! + i) < threshold ? v / keep : 0,
  )
  return { value, shape: x.shape }
}
