import { tileFeatures, UpperGram } from '../analysis/upperGram.ts'
import { conv2d } from '../autograd/ops/conv2d.ts'
import { linear } from '../autograd/ops/linear.ts'
import type { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { BenchArrays } from './arrays.ts'
import type { BenchCase, BenchGroup, BenchOp } from './benchCase.ts'
import { recordBackward, recordForward } from './opPasses.ts'
import { type ConvolutionSize, resnetConvolutions, stageOutputs } from './resnetShapes.ts'

/** Sides of the square matrices that are multiplied. */
const MATRICES = [512, 1024]

/** The three passes of an op of `x` and `weight`. */
function passes(
  gpu: Gpu,
  arrays: BenchArrays,
  shape: string,
  flops: number,
  [x, weight]: readonly [readonly number[], readonly number[]],
  op: (tape: Tape, inputs: { x: Tensor; weight: Tensor }) => Tensor,
): BenchGroup {
  const [xValue, weightValue] = [arrays.uniform(x), arrays.uniform(weight)]
  const call = (needsX: boolean, needsWeight: boolean) => (tape: Tape) =>
    op(tape, { x: new Tensor(xValue, needsX), weight: new Tensor(weightValue, needsWeight) })
  const upstream = (outShape: readonly number[]) => arrays.uniform(outShape).retain()
  const cases: BenchCase[] = [
    { pass: 'forward', record: () => recordForward(gpu, call(false, false)) },
    {
      pass: 'backward-data',
      record: async () => (await recordBackward(gpu, call(true, false), upstream)).programs,
    },
    {
      pass: 'backward-weights',
      record: async () => (await recordBackward(gpu, call(false, true), upstream)).programs,
    },
  ].map((one) => ({ ...one, shape, flops }))
  return { cases, release: () => arrays.release() }
}

function convolution(gpu: Gpu, batch: number, conv: ConvolutionSize): BenchGroup {
  const { inSize, inChannels, outChannels, kernel, stride } = conv
  const padding = (kernel - 1) / 2
  const outSize = Math.floor((inSize + 2 * padding - kernel) / stride) + 1
  const shape = `${batch}x${inSize}x${inSize}x${inChannels} -> ${outChannels}, ${kernel}x${kernel}${stride > 1 ? ` / ${stride}` : ''}`
  const flops = 2 * batch * outSize ** 2 * kernel ** 2 * inChannels * outChannels
  return passes(
    gpu,
    new BenchArrays(gpu),
    shape,
    flops,
    [
      [batch, inSize, inSize, inChannels],
      [kernel, kernel, inChannels, outChannels],
    ],
    (tape, inputs) => conv2d(tape, inputs, { stride, padding }),
  )
}

/** ResNet-50's distinct convolutions; taps in the padding count as operations. */
export const convolutions: BenchOp = {
  name: 'conv',
  groups: (gpu, sizes) =>
    resnetConvolutions(sizes).map((conv) => () => convolution(gpu, sizes.batch, conv)),
}

/** Square matrix products by the linear layer: x W, dy W' and x' dy. */
export const matrixProducts: BenchOp = {
  name: 'matmul',
  groups: (gpu) =>
    MATRICES.map((n) => () => {
      const side = [n, n] as const
      return passes(
        gpu,
        new BenchArrays(gpu),
        `${n}x${n}x${n}`,
        2 * n ** 3,
        [side, side],
        (t, inputs) => linear(t, inputs, {}),
      )
    }),
}

/** Rows of the Gram products: the paper's minibatch of CKA. */
const GRAM_ROWS = 1500

/**
 * Gram products X X' of a minibatch's features less their means: of the last layer, and of a tile of
 * features of the blocks' outputs, which are too wide to be multiplied at once. They are symmetric,
 * so that n (n + 1) / 2 products count; centring and transposing the features counts as time.
 */
export const gramProducts: BenchOp = {
  name: 'gram',
  groups: (gpu, sizes) => {
    const outputs = stageOutputs(sizes)
    const widths = outputs.map(({ size, channels }) => size * size * channels)
    const tile = tileFeatures(gpu, GRAM_ROWS)
    const tiles = [...widths, outputs.at(-1)!.channels].map((width) => Math.min(width, tile))
    return [...new Set(tiles)].map((features) => () => {
      const arrays = new BenchArrays(gpu)
      const x = arrays.uniform([GRAM_ROWS, features])
      const add = () => {
        const gram = new UpperGram(gpu, GRAM_ROWS, { centre: true })
        gram.add(x, features)
        gram.release()
      }
      const wider = widths.filter((width) => width > features)
      return {
        cases: [
          {
            shape: `${GRAM_ROWS}x${features}${features === tile ? `, a tile of ${Math.max(...wider)}` : ''}`,
            pass: 'forward',
            flops: GRAM_ROWS * (GRAM_ROWS + 1) * features,
            record: async () => [(await gpu.record(add)).program],
          },
        ],
        release: () => arrays.release(),
      }
    })
  },
}
