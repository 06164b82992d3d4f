import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { resnet50 } from '../../src/nn/resnet.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'
import { TrainStep } from '../../src/train/trainStep.ts'
import { softmaxObjective } from './tinyTraining.ts'

const SHAPE = [8, 32, 32, 3] as const
const CREATING = [
  'createBuffer',
  'createBindGroup',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createShaderModule',
] as const

/** Counts what is created on the device itself, past the engine's own books. */
function countCreations(gpu: Gpu): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of CREATING) {
    const create = gpu.device[name].bind(gpu.device) as (...args: unknown[]) => unknown
    counts[name] = 0
    Object.defineProperty(gpu.device, name, {
      value: (...args: unknown[]) => {
        counts[name]!++
        return create(...args)
      },
    })
  }
  return counts
}

test('200 training steps create nothing on the device and leave its memory as it was', async () => {
  const gpu = await openGpu()
  const created = countCreations(gpu)
  const model = resnet50(gpu, { classes: 10, width: 1 / 16, seed: 7 })
  const options = { momentum: 0.9, nesterov: true, weightDecay: 1e-4 }
  const sgd = new Sgd(gpu, model.parameters.groups, options)
  const step = await TrainStep.record(gpu, model, softmaxObjective(), sgd, SHAPE)
  const images = hashValues(
    SHAPE.reduce((a, b) => a * b, 1),
    1,
  )
  const labels = Uint32Array.from({ length: SHAPE[0] }, (_, n) => n)
  const take = async (steps: number) => {
    for (let i = 0; i < steps; i++) {
      step.run(images, labels, 0.01)
      await gpu.submitted()
    }
  }
  await take(2)
  assert.ok(created.createBuffer! > 0 && created.createComputePipelineAsync! > 0, 'counts nothing')
  const [memory, counts] = [gpu.memory(), { ...created }]
  assert.is(counts.createBindGroup, memory.bindGroups, 'memory() counts all bind groups')
  await take(200)
  assert.equal(gpu.memory(), memory)
  assert.equal(created, counts)
  const losses = await step.losses()
  assert.is(losses.length, 202)
  assert.ok(losses[201]! < losses[0]! / 2, `trained: loss ${losses[0]} to ${losses[201]}`)
  assert.equal({ ...created, createBuffer: 0 }, { ...counts, createBuffer: 0 })
  assert.is(created.createBuffer, counts.createBuffer! + 1, 'reading them takes one staging buffer')
  assert.equal(gpu.memory(), memory)
  gpu.close()
})

test.run()
