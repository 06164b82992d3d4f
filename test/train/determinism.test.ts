import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { resnet50 } from '../../src/nn/resnet.ts'
import { readGroups, readStateDict } from '../../src/nn/stateDict.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'
import { TrainStep } from '../../src/train/trainStep.ts'
import { runAgain, scenario } from '../childProcess.ts'
import { softmaxObjective } from './tinyTraining.ts'

const STEPS = 50
const SHAPE = [8, 32, 32, 3] as const

/** SHA-256 of weights, batch-norm buffers, velocities and losses after 50 steps on hashed images. */
async function trainAndHash(gpu: Gpu): Promise<string> {
  const model = resnet50(gpu, { classes: 10, width: 1 / 16, seed: 7 })
  const options = { momentum: 0.9, nesterov: true, weightDecay: 1e-4 }
  const sgd = new Sgd(gpu, model.parameters.groups, options)
  const step = await TrainStep.record(gpu, model, softmaxObjective(), sgd, SHAPE)
  const length = SHAPE.reduce((a, b) => a * b, 1)
  for (let i = 0; i < STEPS; i++) {
    const labels = Uint32Array.from({ length: SHAPE[0] }, (_, n) => (3 * n + i) % 10)
    step.run(hashValues(length, i), labels, 0.05)
  }
  const losses = await step.losses()
  // Bits that agree because all of them are NaN would prove nothing.
  assert.ok(losses.length === STEPS && losses.every(Number.isFinite), `${losses}`)
  assert.ok(losses[0] !== losses[STEPS - 1], 'the loss never changed')
  const hash = createHash('sha256').update(losses)
  const velocities = await readGroups(gpu, model.parameters, (i) => sgd.velocities[i]!)
  for (const tensors of [await readStateDict(gpu, model.parameters, STEPS), velocities])
    for (const [name, { data }] of tensors) hash.update(name).update(data)
  step.dispose()
  sgd.release()
  model.parameters.release()
  return hash.digest('hex')
}

async function hashOnce(): Promise<string> {
  const gpu = await openGpu()
  const hash = await trainAndHash(gpu)
  gpu.close()
  return hash
}

test('the same seed gives the same bits: on one device, on two devices, in two processes', async () => {
  const gpu = await openGpu()
  const first = await trainAndHash(gpu)
  // Buffers come back from the pool with other contents.
  assert.is(await trainAndHash(gpu), first, 'again on the same device')
  assert.is(gpu.memory().live, 0)
  gpu.close()
  assert.is(await hashOnce(), first, 'on a second device')
  const { code, stdout, stderr } = await runAgain(['hash'])
  assert.is(code, 0, stderr)
  assert.is(stdout, first, 'in another process')
})

if (scenario.length === 0) test.run()
else process.stdout.write(await hashOnce())
