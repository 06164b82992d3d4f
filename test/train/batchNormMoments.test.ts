import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { resnet } from '../../src/nn/resnet.ts'
import { setBatchNormMoments } from '../../src/train/batchNormMoments.ts'
import type { ImageInput, ReadyBatch } from '../../src/train/input.ts'
import { normals } from '../devices.ts'

const SIDE = 16
const SIZE = SIDE * SIDE * 3
const gpu = await openGpu()
const model = resnet(gpu, { arch: 'resnet18', classes: 3, width: 1 / 16, stem: 'small' })
const pixels = normals(5 * SIZE, 1).map((value) => 2 * value + 1)

/** Images first .. first + count of the five. */
function input(first: number, count: number): ImageInput {
  return {
    shape: [SIDE, SIDE, 3],
    count,
    async *trainingBatches(): AsyncGenerator<ReadyBatch, void, undefined> {},
    async *evaluationBatches(size: number) {
      for (let at = first; at < first + count; at += size) {
        const labels = new Uint32Array(Math.min(size, first + count - at))
        const own = pixels.subarray(at * SIZE, (at + labels.length) * SIZE)
        yield { labels, write: async (images) => gpu.write(images, own) }
      }
    },
    release() {},
  }
}

async function momentsOf(...args: Parameters<typeof input>): Promise<Float32Array> {
  await setBatchNormMoments(gpu, model, input(...args))
  return gpu.read(model.parameters.bufferValues)
}

function features(training: boolean): Promise<Float32Array> {
  const tape = new Tape(gpu, false)
  const images = new Tensor(gpu.upload('f32', [5, SIDE, SIDE, 3], pixels))
  return gpu.read(model.penultimate(tape, images, { training }).value)
}

test('evaluated by the moments of one batch, a network computes what it does in training', async () => {
  await setBatchNormMoments(gpu, model, input(0, 5))
  const evaluated = await features(false)
  const trained = await features(true)
  const largest = Math.max(...trained)
  // The running variance is the unbiased one, of 20 values a channel in the last stage: 2.6 % more.
  for (const [i, value] of trained.entries())
    assert.ok(Math.abs(evaluated[i]! - value) < 0.05 * largest, `${evaluated[i]}, ${value}`)
})

test('batches weigh by their images, whatever the statistics were before', async () => {
  const [three, two] = [await momentsOf(0, 3), await momentsOf(3, 2)]
  await setBatchNormMoments(gpu, model, input(0, 5), { batch: 3 })
  const both = await gpu.read(model.parameters.bufferValues)
  for (const [i, value] of both.entries()) {
    const expected = (3 * three[i]! + 2 * two[i]!) / 5
    // A few roundings of float32: into the running statistics and out of them, and of the mean.
    assert.ok(Math.abs(value - expected) <= 1e-6 * Math.max(1, Math.abs(expected)))
  }
  assert.ok(three.some((value, i) => Math.abs(value - two[i]!) > 0.01))
})

test.after(() => gpu.close())

test.run()
