import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { GpuArray } from '../../src/gpu/gpuArray.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { instantiate } from '../../src/losses/objective.ts'
import { objectiveNamed } from '../../src/losses/registry.ts'
import type { ParameterSet } from '../../src/nn/parameters.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { TrainStep } from '../../src/train/trainStep.ts'
import { hashTensor, parityModel } from './parityModel.ts'

// The published network, all 25,557,032 values of it, beside torchvision's in float64. What
// reference/makeResnet50Fixtures.py sets stands here again: images, labels, rates, shifts.
const CLASSES = 1000
const OPTIONS = { classes: CLASSES, stemShift: 0 }
const GRADIENT_SHIFT = 3
const STEP_SHIFT = 2
const GRADIENT_SHAPE = [2, 224, 224, 3] as const
const STEP_SHAPE = [4, 64, 64, 3] as const
const STEPS = 5
const RATE = 0.02
const EMA = 0.9
const SAMPLES = 96

// What the project promises; PyTorch's own float32 is in reference/results/resnet50Float32.json.
const LOGITS = 1e-4
const GRADIENTS = 2e-3
const TENSORS = 1e-3

type Shape = readonly [number, number, number, number]

function images(shape: Shape, batch: number): Float32Array {
  const count = shape.reduce((a, b) => a * b, 1)
  return hashTensor((batch + 1) * count, 501, 4).slice(batch * count)
}

function labels(count: number, batch: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (37 * (batch * count + i)) % CLASSES)
}

/** The elements that a fixture holds: an odd stride, which visits all channels. */
function sampled(values: Float32Array): Float32Array {
  let stride = Math.ceil(values.length / SAMPLES)
  if (stride > 1 && stride % 2 === 0) stride++
  return values.filter((_, i) => i % stride === 0)
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0))
}

/** Tensors of a fixture by name, and the norms of the whole tensors. */
async function fixture(name: string) {
  const file = path.join(packageRoot(), `test/fixtures/resnet50/${name}.safetensors`)
  const { tensors, metadata } = await readSafetensors(file)
  const samples = new Map([...tensors].map(([key, { data }]) => [key, data as Float32Array]))
  const names: string[] = JSON.parse(metadata.names!)
  const norms = samples.get('norms')
  return { names, samples, norms: new Map(names.map((key, i) => [key, norms?.[i]])) }
}

/** Every tensor of the fixture is there, its samples and its norm within the tolerance. */
async function compareAll(
  name: string,
  found: ReadonlyMap<string, Float32Array>,
  tolerance: number,
): Promise<void> {
  const { names, samples, norms } = await fixture(name)
  for (const key of names) {
    const values = found.get(key)!
    const error = relativeError(sampled(values), samples.get(key)!)
    assert.ok(error < tolerance, `${key}: relative error ${error}, expected below ${tolerance}`)
    const whole = Math.abs(norm(values) / norms.get(key)! - 1)
    assert.ok(whole < tolerance, `${key}: its norm is off by ${whole} of itself`)
  }
  assert.is(found.size, names.length)
}

/** Slices of arrays that lie like the parameter groups, by name. */
async function readGroups(
  gpu: Gpu,
  { groups }: ParameterSet,
  arrayOf: (group: number) => GpuArray<'f32'>,
  prefix = '',
): Promise<[string, Float32Array][]> {
  const found: [string, Float32Array][] = []
  for (const [i, { members }] of groups.entries()) {
    const host = await gpu.read(arrayOf(i))
    for (const { parameter, offset } of members) {
      const { name, shape } = parameter.spec
      const length = shape.reduce((a, b) => a * b, 1)
      found.push([prefix + name, host.subarray(offset, offset + length)])
    }
  }
  return found
}

async function readAll(gpu: Gpu, set: ParameterSet, prefix = '') {
  const found = await readGroups(gpu, set, (i) => set.groups[i]!.values, prefix)
  for (const { spec, value } of set.buffers) found.push([prefix + spec.name, await gpu.read(value)])
  return found
}

const softmax = instantiate(objectiveNamed('softmax'), CLASSES)

test("224 x 224, 1000 classes: logits in both modes, loss and all gradients are torchvision's", async () => {
  const gpu = await openGpu()
  const model = parityModel(gpu, 1, { ...OPTIONS, betaShift: GRADIENT_SHIFT })
  assert.is(model.parameters.count, 25_557_032)
  const x = new Tensor(gpu.upload('f32', GRADIENT_SHAPE, images(GRADIENT_SHAPE, 0)))
  const target = { labels: gpu.upload('u32', [2], labels(2, 0)) }
  const { samples: forward } = await fixture('forward')
  const isClose = async (array: GpuArray<'f32'>, key: string) => {
    const error = relativeError(await gpu.read(array), forward.get(key)!)
    assert.ok(error < LOGITS, `${key}: relative error ${error}, expected below ${LOGITS}`)
  }
  const tape = new Tape(gpu)
  const logits = tape.keep(model.forward(tape, x, { training: true }))
  const loss = tape.keep(softmax.loss(tape, logits, target))
  tape.backward(loss)
  await isClose(logits.value, 'train')
  await isClose(loss.value, 'loss')
  const gradients = await readGroups(
    gpu,
    model.parameters,
    (i) => model.parameters.groups[i]!.gradients!,
  )
  assert.is(gradients.length, 161)
  await compareAll('gradients', new Map(gradients), GRADIENTS)
  const evaluation = new Tape(gpu, false)
  await isClose(model.forward(evaluation, x, { training: false }).value, 'eval')
  gpu.close()
})

test("five steps with Nesterov, weight decay and averages: every tensor is torchvision's", async () => {
  const gpu = await openGpu()
  const model = parityModel(gpu, 1, { ...OPTIONS, betaShift: STEP_SHIFT })
  const sgd = new Sgd(gpu, model.parameters.groups, {
    momentum: 0.9,
    nesterov: true,
    weightDecay: 8e-5,
  })
  const averages = model.withoutMemory().parameters
  averages.allocateCopy(gpu, model.parameters)
  const step = await TrainStep.record(gpu, model, softmax, sgd, STEP_SHAPE, { averages })
  for (let i = 0; i < STEPS; i++) {
    gpu.write(step.images, images(STEP_SHAPE, i))
    step.take(0, labels(4, i), { rate: RATE, averageWeight: 1 - EMA })
    await gpu.submitted()
  }
  const found = new Map([
    ['losses', await step.losses()],
    ...(await readAll(gpu, model.parameters)),
    ...(await readGroups(gpu, model.parameters, (i) => sgd.velocities[i]!, 'momentum.')),
    ...(await readAll(gpu, averages, 'ema.')),
  ])
  // 161 parameters three times, 106 buffers twice, the losses.
  assert.is(found.size, 3 * 161 + 2 * 106 + 1)
  await compareAll('steps', found, TENSORS)
  gpu.close()
})

test.run()
