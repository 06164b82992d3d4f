import { readdir } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { convolve, convolveBackwardData } from '../../src/autograd/convolution.ts'
import { productShape } from '../../src/autograd/convolutionShape.ts'
import { type RegisteredOp, registeredOps } from '../../src/autograd/op.ts'
import { type Conv2dAttributes, convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import '../../src/autograd/ops/index.ts'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import '../../src/losses/scale.ts'
import { resnet } from '../../src/nn/resnet.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { hashValues, relativeError } from '../../src/selfTest/reference/compare.ts'
import { convolutionBackwardWeights } from '../../src/selfTest/reference/convolution.ts'
import { TrainStep } from '../../src/train/trainStep.ts'
import { withBindingLimit } from '../devices.ts'
import { softmaxObjective } from '../train/tinyTraining.ts'
import { checkConvolution, type Size, variants } from './checkConvolution.ts'
import { withGradient } from './withGradient.ts'

// Room for 64 images of 512 values, the fewest that can stand alone where a row is odd.
const LIMIT = 2 ** 17
// Room for a slice of a batch norm's rows.
const SLICES_LIMIT = 2 ** 19
// Of dW, whose sums alone change their order; as test/autograd/convolutionLarge.test.ts has it.
const WEIGHTS_TOLERANCE = 1e-5

const whole = await openGpu()
const small = withBindingLimit(whole, LIMIT)
test.after(() => whole.close())

type Shapes = Readonly<Record<string, readonly number[]>>

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** The inputs that share the axis of images; the others are weights. */
const BATCHED = ['x', 'a', 'b', 'residual']

/** The case with as many images as need three pieces; of a batch norm two. */
function enlarge(opName: string, shapes: RegisteredOp['gradientCases'][number]['shapes']): Shapes {
  const images = ([, ...rest]: readonly number[]) => {
    if (opName !== 'batchNorm') return Math.ceil((2.3 * LIMIT) / 4 / product(rest))
    // So that its slices of rows, 3 to 16 of them, start where a binding may.
    const rows = 3 * 16 * 64
    const channels = rest.at(-1)!
    const times = Math.ceil((1.5 * SLICES_LIMIT) / 4 / channels / rows)
    return Math.floor((times * rows * channels) / product(rest))
  }
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      BATCHED.includes(name) ? [images(shape!), ...shape!.slice(1)] : shape!,
    ]),
  )
}

/** Output and gradients of an op on hashed inputs, and the dispatches that they took. */
async function solve(
  gpu: Gpu,
  op: RegisteredOp,
  gradientCase: RegisteredOp['gradientCases'][number],
  wanted: readonly string[],
) {
  const shapes = enlarge(op.opName, gradientCase.shapes)
  const attributes = gradientCase.attributes(gpu)
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      new Tensor(gpu.upload('f32', shape, hashValues(product(shape), i)), wanted.includes(name)),
    ]),
  )
  const dyOf = (y: Tensor) => {
    const dy = gpu.empty('f32', y.shape, 'dy')
    return { dy, host: hashValues(dy.length, 9) }
  }
  const { program, result } = await gpu.record(() => {
    const tape = new Tape(gpu)
    const y = op(tape, inputs, attributes)
    const { dy, host } = dyOf(y)
    const output = tape.keep(y).value
    tape.backward(withGradient(tape, { x: y }, { dy }))
    return { output, dy, host }
  })
  gpu.write(result.dy, result.host)
  program.run()
  const values: Record<string, Float32Array> = { output: await gpu.read(result.output) }
  for (const name of wanted) values[name] = await gpu.read(inputs[name]!.gradient!)
  const { dispatches } = program
  program.dispose()
  for (const { value } of Object.values(inputs)) value.release()
  return { values, dispatches, shapes, dy: result.host }
}

/** The gradient of the weight of a convolution or product in float64, on the inputs of `solve`. */
function weightGradient(op: RegisteredOp, shapes: Shapes, attributes: unknown, dy: Float32Array) {
  const { x, weight } = shapes as { x: number[]; weight: number[] }
  const shape =
    op.opName === 'linear'
      ? productShape(x[0]!, x[1]!, weight[1]!)
      : convolutionShape(x, weight, attributes as Conv2dAttributes)
  return convolutionBackwardWeights(
    shape,
    Float64Array.from(hashValues(product(x), 0)),
    Float64Array.from(dy),
  )
}

// Those of networks; the other ops work on logits and the last layer, which are small.
const cut = new Set(
  (await readdir(new URL('../src/autograd/ops/', import.meta.url))).map((f) =>
    f.replace(/\.ts$/, ''),
  ),
)
for (const [name, op] of [...registeredOps()].filter(
  ([name]) => cut.has(name) || name === 'scale',
)) {
  test(`${name}: the same bits in pieces`, async () => {
    const inPieces = name === 'batchNorm' ? withBindingLimit(whole, SLICES_LIMIT) : small
    for (const gradientCase of op.gradientCases) {
      const names = Object.keys(gradientCase.shapes)
      // A batch norm's residual alone takes a path of its own.
      for (const wanted of names.includes('residual') ? [names, ['residual']] : [names]) {
        const expected = await solve(whole, op, gradientCase, wanted)
        const found = await solve(inPieces, op, gradientCase, wanted)
        const label = `${name} ${JSON.stringify(found.shapes)}, gradients of ${wanted}`
        assert.ok(
          found.dispatches >= 2 * expected.dispatches - 4,
          `${label}: ${found.dispatches} dispatches, ${expected.dispatches} on whole arrays`,
        )
        for (const [of, values] of Object.entries(found.values)) {
          if (of !== 'weight') {
            assert.ok(same(values, expected.values[of]!), `${label}: ${of} has other bits`)
            continue
          }
          const { shapes, dy } = found
          const dw = weightGradient(op, shapes, gradientCase.attributes(whole), dy)
          const error = relativeError(values, dw)
          assert.ok(error < WEIGHTS_TOLERANCE, `${label}: ${of}, relative error ${error}`)
        }
      }
    }
  })
}

function same(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer))
}

const convolutions: [string, Size, Size, Conv2dAttributes][] = [
  ['1x1', [400, 5, 5, 5], [1, 1, 5, 7], {}],
  ['1x1 of 64 channels', [33, 6, 6, 64], [1, 1, 64, 40], {}],
  ['3x3', [35, 8, 8, 32], [3, 3, 32, 16], { padding: 1 }],
  ['3x3 stride 2', [131, 9, 8, 8], [3, 3, 8, 20], { stride: 2, padding: 1 }],
  ['1x1 stride 2', [37, 9, 9, 32], [1, 1, 32, 64], { stride: 2 }],
  ['matrix product', [500, 1, 1, 128], [1, 1, 128, 47], {}],
]

for (const [name, ...sizes] of convolutions)
  test(`${name}: every variant of a convolution in pieces`, async () => {
    const [xShape, wShape, attributes] = sizes
    await checkConvolution(small, name, sizes, variants, { weightsTolerance: WEIGHTS_TOLERANCE })
    const shape = convolutionShape(...sizes)
    const yShape = [shape.batch, shape.outHeight, shape.outWidth, shape.outChannels]
    const run = async (gpu: Gpu, variant: (typeof variants)[keyof typeof variants]) => {
      const x = gpu.upload('f32', xShape, hashValues(product(xShape), 1))
      const w = gpu.upload('f32', wShape, hashValues(product(wShape), 2))
      const dy = gpu.upload('f32', yShape, hashValues(product(yShape), 3))
      const { program, result } = await gpu.record(() => {
        const [y, dx] = [gpu.empty('f32', yShape), gpu.empty('f32', xShape)]
        convolve(gpu, shape, { x, w, y }, variant)
        convolveBackwardData(gpu, shape, { dy, w, dx }, variant)
        return { y, dx }
      })
      program.run()
      const found = [await gpu.read(result.y), await gpu.read(result.dx)] as const
      const { dispatches } = program
      program.dispose()
      for (const array of [x, w, dy]) array.release()
      return { found, dispatches }
    }
    const expected = await run(whole, variants.noPanels)
    for (const [variantName, variant] of Object.entries(variants)) {
      const { found, dispatches } = await run(small, variant)
      const label = `${name} ${attributes}, ${variantName}`
      assert.ok(dispatches > expected.dispatches, `${label}: ${dispatches} dispatches`)
      for (const [i, values] of found.entries())
        assert.ok(same(values, expected.found[i]!), `${label}: ${['y', 'dx'][i]} has other bits`)
    }
  })

/** Loss and gradients of one step of a narrow network. */
async function trainStep(gpu: Gpu) {
  const model = resnet(gpu, {
    arch: 'resnet18',
    classes: 10,
    width: 1 / 16,
    seed: 7,
    zeroGamma: false,
  })
  const sgd = new Sgd(gpu, model.parameters.groups, {
    momentum: 0.9,
    nesterov: true,
    weightDecay: 1e-3,
  })
  const shape = [40, 64, 64, 3] as const
  const step = await TrainStep.record(gpu, model, softmaxObjective(), sgd, shape)
  const labels = Uint32Array.from({ length: shape[0] }, (_, n) => (3 * n) % 10)
  step.run(hashValues(product(shape), 5), labels, 0.05)
  const [loss] = await step.losses()
  const gradients: { name: string; layout: string; values: Float32Array }[] = []
  for (const { spec, value } of model.parameters.parameters)
    gradients.push({ ...spec, values: await gpu.read(value.gradient!) })
  const { dispatches } = step
  step.dispose()
  model.parameters.release()
  return { loss, gradients, dispatches }
}

test('a training step in pieces has the same loss and gradients', async () => {
  const tight = withBindingLimit(whole, 2 ** 16)
  const [expected, found] = [await trainStep(whole), await trainStep(tight)]
  assert.ok(
    found.dispatches > expected.dispatches + 50,
    `${found.dispatches} dispatches, ${expected.dispatches} on whole arrays`,
  )
  assert.is(found.loss, expected.loss)
  for (const [i, { name, layout, values }] of found.gradients.entries()) {
    const wanted = expected.gradients[i]!.values
    if (layout === 'vector') assert.ok(same(values, wanted), `${name} has other bits`)
    const error = relativeError(values, wanted)
    assert.ok(error < WEIGHTS_TOLERANCE, `${name}: relative error ${error}`)
  }
})

test.run()
