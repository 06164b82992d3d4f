import { defineOp } from '../autograd/op.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { elementwiseCall } from '../gpu/elementwise.ts'
import { kernels } from '../gpu/generated/kernels.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { philoxKey } from '../random/philox.ts'
import { streams } from '../random/streams.ts'
import type { DropoutDraw } from './definition.ts'
import { onSoftmax } from './softmax.ts'

interface DropoutAttributes extends DropoutDraw {
  /** Probability that a value is kept, in (0, 1]. */
  readonly keep: number
}

function mask(
  gpu: Gpu,
  x: GpuArray<'f32'>,
  y: GpuArray<'f32'>,
  { keep, seed, draw }: DropoutAttributes,
): void {
  const features = x.shape[1]!
  const width = features % 4 === 0 ? 4 : 1
  const [seedLow, seedHigh] = philoxKey(seed)
  const params = {
    rowItems: features / width,
    seedLow,
    seedHigh,
    stream: streams.dropout,
    threshold: Math.round(keep * 2 ** 24),
    inverseKeep: 1 / keep,
  }
  gpu.dispatch(kernels.loss_dropout, {
    ...elementwiseCall(gpu, y, params, width),
    conditions: { VEC4: width === 4 },
    buffers: { x, draw, y },
  })
}

/**
 * y = x * xi / keep with xi ~ Bernoulli(keep) (eq. 3).
 *
 * x [N, M]. Element [n, m] is kept where `uniform((first + n) * M + m)` of the RandomStream (seed,
 * streams.dropout, step) is below keep rounded to 24 bits; draw = [step, first].
 *
 * @throws Error when keep is outside (0, 1], the seed is none, x is not [N, M] or draw is not [2]
 */
export const dropout = defineOp<{ x: Tensor }, DropoutAttributes>()({
  name: 'dropout',
  gradientCases: (
    [
      [[3, 8], 0.7, 3, 0],
      [[5, 7], 0.5, 11, 2],
      [[1, 1], 0.9, 1, 0],
      [[33, 40], 1, 0, 1],
    ] as const
  ).map(([shape, keep, step, first]) => ({
    shapes: { x: shape },
    attributes: (gpu: Gpu) => ({
      keep,
      seed: 5,
      draw: gpu.upload('u32', [2], Uint32Array.of(step, first)),
    }),
  })),
  forward(run, { x }, attributes) {
    const { keep, draw } = attributes
    if (x.shape.length !== 2 || x.length === 0)
      throw new Error(`dropout: x is [${x.shape}], expected [N, M]`)
    if (!(keep > 0 && keep <= 1))
      throw new Error(`dropout: keep is ${keep}, expected a number in (0, 1]`)
    if (draw.length !== 2) throw new Error(`dropout: draw is [${draw.shape}], expected [2]`)
    const y = run.gpu.empty('f32', x.shape, 'dropout')
    mask(run.gpu, x, y, attributes)
    return { output: y, saved: {} }
  },
  backward(run, dy, _, attributes) {
    const dx = run.gradientOf('x')
    mask(run.gpu, dy, dx, attributes)
    return { x: dx }
  },
})

/** Dropout on the penultimate features (eq. 3), in training only; then softmax cross-entropy. */
export const dropoutObjective = onSoftmax({
  name: 'dropout',
  label: 'Dropout',
  hyperparameters: {
    keep: {
      default: () => 0.7,
      meaning: 'probability that a feature is kept',
      refuse: (keep) => (keep > 0 && keep <= 1 ? undefined : 'a number in (0, 1]'),
    },
  },
  term: ({ keep }) => ({
    features: (tape, x, draw) => dropout(tape, { x }, { ...draw, keep: keep! }),
    needsFeatures: 'acts on the features: give them with weight and bias instead of the logits',
  }),
})
