import { sumSlices } from '../autograd/convolution.ts'
import { add } from '../autograd/ops/add.ts'
import { batchNorm } from '../autograd/ops/batchNorm.ts'
import { globalAvgPool } from '../autograd/ops/globalAvgPool.ts'
import { maxPool2d } from '../autograd/ops/maxPool2d.ts'
import { relu } from '../autograd/ops/relu.ts'
import type { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { ResNet } from '../nn/resnet.ts'
import { Sgd } from '../optim/sgd.ts'
import { BenchArrays } from './arrays.ts'
import type { BenchCase, BenchGroup, BenchOp, BenchSizes } from './benchCase.ts'
import { recordBackward, recordForward } from './opPasses.ts'
import { stageOutputs } from './resnetShapes.ts'

const F32 = 4
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Shapes [N, H, W, C] that the stages put out. */
function activations(sizes: BenchSizes): number[][] {
  return stageOutputs(sizes).map(({ size, channels }) => [sizes.batch, size, size, channels])
}

interface Passes {
  readonly shape: string
  /** Bytes of the forward and of the backward pass. */
  readonly forward: number
  readonly backward?: number
}

function bothPasses(
  gpu: Gpu,
  arrays: BenchArrays,
  { shape, forward, backward }: Passes,
  call: (tape: Tape) => Tensor,
): BenchGroup {
  const upstream = (outShape: readonly number[]) => arrays.uniform(outShape).retain()
  const cases: BenchCase[] = [
    { shape, pass: 'forward', bytes: forward, record: () => recordForward(gpu, call) },
  ]
  if (backward)
    cases.push({
      shape,
      pass: 'backward',
      bytes: backward,
      record: async () => (await recordBackward(gpu, call, upstream)).programs,
    })
  return { cases, release: () => arrays.release() }
}

/**
 * Batch norm in training with ReLU, alone and with a residual. Forward: x is read for its statistics
 * and again to be normalised, y written. Backward: x and dy are read for the sums and again for dx.
 * With a residual it is read too, and its gradient written; y is read for ReLU's mask.
 */
export const batchNorms: BenchOp = {
  name: 'batch-norm',
  groups: (gpu, sizes) =>
    activations(sizes).flatMap((shape) =>
      [false, true].map((hasResidual) => () => {
        const arrays = new BenchArrays(gpu)
        const channels = shape.at(-1)!
        const leaf = (of: readonly number[]) => new Tensor(arrays.uniform(of), true)
        const [x, gamma, beta] = [leaf(shape), leaf([channels]), leaf([channels])]
        const residual = hasResidual ? leaf(shape) : undefined
        const attributes = {
          training: true,
          relu: true,
          eps: 1e-5,
          momentum: 0.1,
          runningMean: arrays.uniform([channels]),
          runningVar: arrays.uniform([channels]),
        }
        const bytes = F32 * product(shape)
        return bothPasses(
          gpu,
          arrays,
          {
            shape: `${shape.join('x')}, ReLU${hasResidual ? ', residual' : ''}`,
            forward: bytes * (hasResidual ? 4 : 3),
            backward: bytes * (hasResidual ? 7 : 5),
          },
          (tape) => batchNorm(tape, { x, gamma, beta, residual }, attributes),
        )
      }),
    ),
}

/** max(x, 0); backward reads y and dy. */
export const relus: BenchOp = {
  name: 'relu',
  groups: (gpu, sizes) =>
    activations(sizes).map((shape) => () => {
      const arrays = new BenchArrays(gpu)
      const x = new Tensor(arrays.uniform(shape), true)
      const bytes = F32 * product(shape)
      const work = { shape: shape.join('x'), forward: 2 * bytes, backward: 3 * bytes }
      return bothPasses(gpu, arrays, work, (tape) => relu(tape, { x }, {}))
    }),
}

/** a + b; its backward pass only hands the gradient on. */
export const additions: BenchOp = {
  name: 'add',
  groups: (gpu, sizes) =>
    activations(sizes).map((shape) => () => {
      const arrays = new BenchArrays(gpu)
      const [a, b] = [new Tensor(arrays.uniform(shape)), new Tensor(arrays.uniform(shape))]
      const work = { shape: shape.join('x'), forward: 3 * F32 * product(shape) }
      return bothPasses(gpu, arrays, work, (tape) => add(tape, { a, b }, {}))
    }),
}

/** The stem's max pool, which also writes the winning taps and reads them backward, and the last pool. */
export const pools: BenchOp = {
  name: 'pool',
  groups: (gpu, sizes) => [
    () => {
      const arrays = new BenchArrays(gpu)
      const size = Math.floor((sizes.size - 1) / 2) + 1
      const shape = [sizes.batch, size, size, Math.max(1, Math.round(64 * sizes.width))]
      const x = new Tensor(arrays.uniform(shape), true)
      const [inputs, outputs] = [
        product(shape),
        (product(shape) / size ** 2) * (Math.floor((size - 1) / 2) + 1) ** 2,
      ]
      const bytes = F32 * (inputs + 2 * outputs)
      const work = { shape: `max ${shape.join('x')}, 3x3 / 2`, forward: bytes, backward: bytes }
      const attributes = { size: 3, stride: 2, padding: 1 }
      return bothPasses(gpu, arrays, work, (tape) => maxPool2d(tape, { x }, attributes))
    },
    () => {
      const arrays = new BenchArrays(gpu)
      const shape = activations(sizes).at(-1)!
      const x = new Tensor(arrays.uniform(shape), true)
      const bytes = F32 * (product(shape) + shape[0]! * shape[3]!)
      const work = { shape: `average ${shape.join('x')}`, forward: bytes, backward: bytes }
      return bothPasses(gpu, arrays, work, (tape) => globalAvgPool(tape, { x }, {}))
    },
  ],
}

/** SGD with Nesterov momentum over as many parameters as ResNet-50 has: w, v, g read, w, v written. */
export const optimiser: BenchOp = {
  name: 'sgd',
  groups: (gpu, { width }) => [
    () => {
      const arrays = new BenchArrays(gpu)
      const limit = gpu.largestBinding / F32
      const count = Math.min(limit, new ResNet({ classes: 1000, width }).parameters.count)
      const values = arrays.uniform([count])
      const gradients = arrays.uniform([count])
      const rate = arrays.uniform([1])
      const options = { momentum: 0.9, nesterov: true, weightDecay: 8e-5 }
      const sgd = new Sgd(gpu, [{ decay: true, values, gradients }], options)
      return {
        cases: [
          {
            shape: `${count}`,
            pass: 'step',
            bytes: 5 * F32 * count,
            record: async () => [(await gpu.record(() => sgd.step(rate))).program],
          },
        ],
        release: () => {
          sgd.release()
          arrays.release()
        },
      }
    },
  ],
}

/** Sums over the first axis: slices of a weight gradient, and a bias gradient. */
export const reductions: BenchOp = {
  name: 'reduce',
  groups: (gpu, { width }) => {
    const channels = Math.max(1, Math.round(512 * width))
    return [
      [4, 9 * channels ** 2],
      [16, 4 * channels ** 2],
      [256, 1000],
    ].map(([slices, length]) => () => {
      const arrays = new BenchArrays(gpu)
      const x = arrays.uniform([slices!, length!])
      const y = arrays.uniform([length!])
      return {
        cases: [
          {
            shape: `${slices}x${length}`,
            pass: 'forward',
            bytes: F32 * (slices! + 1) * length!,
            record: async () => [(await gpu.record(() => sumSlices(gpu, x, y, slices!))).program],
          },
        ],
        release: () => arrays.release(),
      }
    })
  },
}
