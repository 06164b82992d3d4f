import type { NormalizeAttributes } from '../../losses/normalize.ts'
import { type HostTensor, zeros } from './hostTensor.ts'

/** Rows or columns of x [A, B] scaled to norm `scale`, |x|² at least 1e-12. */
export function normalize(
  { x }: { x: HostTensor },
  { of, scale }: NormalizeAttributes,
): HostTensor {
  const [rows, columns] = x.shape as [number, number]
  const vectorOf = (i: number) => (of === 'rows' ? Math.floor(i / columns) : i % columns)
  const squares = zeros([of === 'rows' ? rows : columns])
  x.value.forEach((v, i) => {
    squares[vectorOf(i)]! += v * v
  })
  const value = x.value.map(
    (v, i) => (v * scale) / Math.sqrt(Math.max(squares[vectorOf(i)]!, 1e-12)),
  )
  return { value, shape: x.shape }
}
