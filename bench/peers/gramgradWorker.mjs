// gramgrad's part: programs recorded once, as training runs them.
import { conv2d } from '../../src/autograd/ops/conv2d.ts'
import { linear } from '../../src/autograd/ops/linear.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { BenchStep } from '../../src/bench/modelBench.ts'
import { recordBackward, recordForward } from '../../src/bench/opPasses.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { sumOfSquares, values } from './inputs.mjs'
import { serve } from './serve.mjs'

const gpu = await openGpu()

const upload = (shape, seed) => gpu.upload('f32', shape, values(shape, seed))

async function ofPrograms(recorded, arrays) {
  const { programs, result } = recorded
  return {
    async run() {
      programs[0].run()
      await gpu.submitted()
    },
    check: async () => sumOfSquares(await gpu.read(result())),
    release() {
      for (const program of programs) program.dispose()
      for (const array of arrays) array.release()
    },
  }
}

async function forward(call, arrays) {
  let output
  const programs = await recordForward(gpu, (tape) => {
    output = call(tape, false, false)
    return output
  })
  return ofPrograms({ programs, result: () => output.value }, arrays)
}

async function backward(call, name, arrays, seed) {
  const { programs, gradients } = await recordBackward(
    gpu,
    (tape) => call(tape, name === 'x', name === 'weight'),
    (shape) => upload(shape, seed),
  )
  return ofPrograms({ programs, result: () => gradients[name] }, arrays)
}

const prepare = {
  matmul({ n }) {
    const [x, weight] = [upload([n, n], 1), upload([n, n], 2)]
    const call = (tape) => linear(tape, { x: new Tensor(x), weight: new Tensor(weight) }, {})
    return forward(call, [x, weight])
  },
  conv({ pass, batch, size, inChannels, outChannels, kernel, stride, padding }) {
    const x = upload([batch, size, size, inChannels], 1)
    const weight = upload([kernel, kernel, inChannels, outChannels], 2)
    const arrays = [x, weight]
    const call = (tape, needsX, needsWeight) =>
      conv2d(
        tape,
        { x: new Tensor(x, needsX), weight: new Tensor(weight, needsWeight) },
        { stride, padding },
      )
    if (pass === 'forward') return forward(call, arrays)
    return backward(call, pass === 'backward-data' ? 'x' : 'weight', arrays, 3)
  },
  async step({ batch, size, classes }) {
    const step = await BenchStep.record(gpu, {
      arch: 'resnet50',
      batch,
      size,
      width: 1,
      classes,
      runs: 1,
    })
    return {
      async run() {
        step.run()
        await gpu.submitted()
      },
      check: async () => (await gpu.read(step.loss))[0],
      release: () => step.release(),
    }
  },
}

await serve((one) => prepare[one.op](one))
