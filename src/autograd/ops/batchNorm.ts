import { elementwiseCall } from '../../gpu/elementwise.ts'
import { kernels } from '../../gpu/generated/kernels.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { GpuArray } from '../../gpu/gpuArray.ts'
import { pieces } from '../../gpu/pieces.ts'
import { defineOp } from '../op.ts'
import type { Tensor } from '../tensor.ts'
import { reluBackward } from './relu.ts'

export interface BatchNormAttributes {
  /** True: normalise by the batch and update the running statistics. False: by the running ones. */
  readonly training: boolean
  /** Added to the variance. PyTorch's default is 1e-5. */
  readonly eps: number
  /** Weight of the new batch in the running statistics, in [0, 1]; PyTorch's default is 0.1. */
  readonly momentum: number
  /** [C]; updated in training. */
  readonly runningMean: GpuArray<'f32'>
  /** [C]; the unbiased variance, updated in training. */
  readonly runningVar: GpuArray<'f32'>
  /** Applies max(., 0) to the result. */
  readonly relu?: boolean
}

type F32 = GpuArray<'f32'>

/** How the rows of [rows, C] fall into slices, see shaders/lib/channel_lanes.wesl. */
function channelLanes(gpu: Gpu, rows: number, channels: number) {
  const { lanes, targetWorkgroups } = gpu.profile
  const c4 = channels % 4 === 0
  const items = c4 ? channels / 4 : channels
  const wide = Math.min(items, lanes)
  const deep = Math.floor(lanes / wide)
  const tiles = Math.ceil(items / wide)
  // A slice of 8 rows a lane hides its launch; one of over 4,096 loses accuracy in f32.
  const wanted = Math.min(
    Math.ceil(targetWorkgroups / tiles),
    Math.max(1, Math.floor(rows / deep / 8)),
  )
  const rowsPerSlice = Math.min(Math.ceil(rows / wanted), 4096 * deep)
  const slices = Math.ceil(rows / rowsPerSlice)
  return {
    parts: slices * deep,
    constants: { LANES: lanes },
    c4,
    rows,
    rowsPerSlice,
    perChannel: [Math.ceil(channels / lanes), 1, 1] as const,
    /** The launches over pieces of arrays [rows, C], each of whole slices: their order is kept. */
    launches<A extends Readonly<Record<string, F32 | undefined>>>(arrays: A) {
      return pieces(gpu, slices, arrays, channels * rowsPerSlice).map(
        ({ first, count, views }) => ({
          buffers: views,
          call: {
            constants: { LANES: lanes },
            params: {
              items,
              rows: Math.min(count * rowsPerSlice, rows - first * rowsPerSlice),
              rowsPerSlice,
              firstPart: first * deep,
            },
            workgroups: [tiles, count, 1] as const,
          },
        }),
      )
    },
  }
}

function checkShapes(
  x: readonly number[],
  perChannel: Readonly<Record<string, readonly number[]>>,
  residual: readonly number[] | undefined,
  attributes: BatchNormAttributes,
): { rows: number; channels: number } {
  const channels = x.at(-1) ?? 0
  if (x.length < 2 || channels === 0)
    throw new Error(`batchNorm: x is [${x}], expected [N, ..., C]`)
  for (const [name, shape] of Object.entries(perChannel))
    if (shape.length !== 1 || shape[0] !== channels)
      throw new Error(`batchNorm: ${name} is [${shape}], expected [${channels}]`)
  if (residual && `${residual}` !== `${x}`)
    throw new Error(`batchNorm: residual is [${residual}], expected the shape of x, [${x}]`)
  if (!(attributes.eps > 0)) throw new Error(`batchNorm: eps is ${attributes.eps}, expected > 0`)
  if (!(attributes.momentum >= 0 && attributes.momentum <= 1))
    throw new Error(`batchNorm: momentum is ${attributes.momentum}, expected a value in [0, 1]`)
  const rows = x.slice(0, -1).reduce((a, b) => a * b, 1)
  if (attributes.training && rows < 2)
    throw new Error(
      `batchNorm: x [${x}] gives ${rows} value per channel to normalise over, expected at least 2`,
    )
  return { rows, channels }
}

/**
 * Batch normalisation over all axes but the last, with an optional residual and ReLU fused in:
 * y = relu((x - mean) / sqrt(variance + eps) * gamma + beta + residual).
 *
 * x, residual, y [N, ..., C]; gamma, beta, runningMean, runningVar [C]. The batch is normalised by
 * its biased variance and the running one is unbiased, as PyTorch's `BatchNorm2d` has it.
 *
 * @throws Error on shapes that do not fit, and in training on a single value per channel
 */
export const batchNorm = defineOp<
  { x: Tensor; gamma: Tensor; beta: Tensor; residual?: Tensor | undefined },
  BatchNormAttributes
>()({
  name: 'batchNorm',
  gradientCases: [
    [[4, 3, 3, 8], true, false, false],
    [[2, 5, 3, 7], true, true, false],
    [[3, 2, 2, 47], true, true, true],
    [[5, 4, 4, 16], true, true, true],
    [[2, 1, 1, 104], true, false, true],
    [[129, 4], true, true, false],
    [[2, 3, 2, 8], false, true, true],
    [[1, 3, 2, 5], false, false, false],
  ].map(([x, training, relu, residual]) => {
    const shape = x as number[]
    const channels = shape.at(-1)!
    return {
      shapes: {
        x: shape,
        gamma: [channels],
        beta: [channels],
        ...(residual ? { residual: shape } : {}),
      },
      attributes: (gpu) => ({
        training: training as boolean,
        relu: relu as boolean,
        eps: 1e-5,
        momentum: 0.1,
        runningMean: gpu.upload(
          'f32',
          [channels],
          Float32Array.from({ length: channels }, (_, c) => 0.1 * Math.sin(c)),
        ),
        runningVar: gpu.upload(
          'f32',
          [channels],
          Float32Array.from({ length: channels }, (_, c) => 0.2 + (c % 3)),
        ),
      }),
    }
  }),
  forward(run, { x, gamma, beta, residual }, attributes) {
    const { gpu } = run
    const { runningMean, runningVar, eps, momentum, training, relu = false } = attributes
    const { rows, channels } = checkShapes(
      x.shape,
      {
        gamma: gamma.shape,
        beta: beta.shape,
        runningMean: runningMean.shape,
        runningVar: runningVar.shape,
      },
      residual?.shape,
      attributes,
    )
    const plan = channelLanes(gpu, rows, channels)
    const { constants, perChannel } = plan
    const channel = run.temporary('f32', [4, channels])
    if (training) {
      const parts = run.temporary('f32', [plan.parts, 2, channels])
      for (const { call, buffers } of plan.launches({ x }))
        gpu.dispatch(kernels.batch_norm_statistics, {
          ...call,
          conditions: { C4: plan.c4 },
          buffers: { ...buffers, parts },
        })
      gpu.dispatch(kernels.batch_norm_combine, {
        buffers: { parts, gamma, beta, runningMean, runningVar, channel },
        ...elementwiseCall(
          gpu,
          gamma,
          { rows, rowsPerSlice: plan.rowsPerSlice, parts: plan.parts, eps, momentum },
          plan.c4 ? 4 : 1,
        ),
        conditions: { C4: plan.c4 },
      })
    } else {
      gpu.dispatch(kernels.batch_norm_evaluation, {
        constants,
        buffers: { gamma, beta, runningMean, runningVar, channel },
        params: { channels, eps },
        workgroups: perChannel,
      })
    }
    const y = gpu.empty('f32', x.shape, 'batchNorm')
    for (const { call, buffers } of plan.launches({ x, residual: residual ?? x, y }))
      gpu.dispatch(kernels.batch_norm_normalize, {
        ...call,
        conditions: { C4: plan.c4, RELU: relu, RESIDUAL: !!residual },
        buffers: { ...buffers, channel },
      })
    // With a residual the sign of the sum is not to be had from x alone, so y is kept for it.
    return { output: y, saved: { x, channel, y: relu && residual ? y : undefined } }
  },
  backward(run, dy, { x, channel, y }, { training, relu = false }) {
    const { gpu, needs } = run
    const channels = run.shapes.gamma[0]!
    const plan = channelLanes(gpu, x.length / channels, channels)
    const needsOwn = needs.x || needs.gamma || needs.beta
    let g: F32 = dy
    if (y) {
      g = needs.residual ? run.gradientOf('residual') : run.temporary('f32', x.shape)
      if (!needsOwn) reluBackward(gpu, { y, dy, dx: g })
    }
    const residual = needs.residual ? (y ? g : dy.retain()) : undefined
    if (!needsOwn) return { residual }
    const conditions = { C4: plan.c4, RELU: relu && !y }
    const parts = run.temporary('f32', [plan.parts, 2, channels])
    // Without a mask nothing is written to g, and y is not read.
    const standIns = { y: channel, g: y ? g : run.temporary('f32', [1]) }
    for (const { call, buffers } of plan.launches({ x, dy, ...(y && { y, g }) }))
      gpu.dispatch(kernels.batch_norm_backward_reduce, {
        ...call,
        conditions: { ...conditions, MASK: !!y },
        buffers: { channel, parts, ...standIns, ...buffers },
      })
    const dgamma = needs.gamma ? run.gradientOf('gamma') : run.temporary('f32', [channels])
    const dbeta = needs.beta ? run.gradientOf('beta') : run.temporary('f32', [channels])
    const coefficients = run.temporary('f32', [5, channels])
    gpu.dispatch(kernels.batch_norm_backward_combine, {
      buffers: { parts, channel, dgamma, dbeta, coefficients },
      ...elementwiseCall(
        gpu,
        dgamma,
        { rows: plan.rows, parts: plan.parts, centred: training ? 1 : 0 },
        plan.c4 ? 4 : 1,
      ),
      conditions: { C4: plan.c4 },
    })
    const dx = needs.x ? run.gradientOf('x') : undefined
    if (dx)
      for (const { call, buffers } of plan.launches({ x, dy: g, dx }))
        gpu.dispatch(kernels.batch_norm_backward_input, {
          ...call,
          conditions,
          buffers: { ...buffers, coefficients },
        })
    return {
      x: dx,
      gamma: needs.gamma ? dgamma : undefined,
      beta: needs.beta ? dbeta : undefined,
      residual,
    }
  },
})
