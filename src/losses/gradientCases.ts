import type { GradientCase } from '../autograd/op.ts'
import type { Targets } from './targets.ts'

/** A gradient check of a loss on N examples of K classes, labelled 0, 1, ..., K-1 and round again. */
export function hardCase<A>(n: number, k: number, more: A): GradientCase<'logits', Targets & A> {
  return {
    shapes: { logits: [n, k] },
    attributes: (gpu) => ({
      ...more,
      labels: gpu.upload(
        'u32',
        [n],
        Uint32Array.from({ length: n }, (_, i) => (i + k - 1) % k),
      ),
    }),
  }
}

/** The same with soft targets, each row a mixture of two classes, as Mixup makes them. */
export function softCase<A>(n: number, k: number, more: A): GradientCase<'logits', Targets & A> {
  return {
    shapes: { logits: [n, k] },
    attributes: (gpu) => {
      const targets = new Float32Array(n * k)
      for (let i = 0; i < n; i++) {
        targets[i * k + (i % k)]! += 0.75
        targets[i * k + ((i * 3 + 1) % k)]! += 0.25
      }
      return { ...more, targets: gpu.upload('f32', [n, k], targets) }
    },
  }
}
