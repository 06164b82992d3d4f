import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Tape } from '../../src/autograd/tape.ts'
import { Tensor } from '../../src/autograd/tensor.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { instantiate, type Objective } from '../../src/losses/objective.ts'
import { objectiveNamed, objectives } from '../../src/losses/registry.ts'
import { resnet50 } from '../../src/nn/resnet.ts'
import { Sgd } from '../../src/optim/sgd.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'
import { TrainStep } from '../../src/train/trainStep.ts'

const SHAPE = [8, 16, 16, 3] as const
const CLASSES = 4
const images = hashValues(
  SHAPE.reduce((a, b) => a * b, 1),
  1,
)
const labels = Uint32Array.from({ length: SHAPE[0] }, (_, n) => n % CLASSES)

function start(gpu: Gpu, objective: Objective) {
  const model = resnet50(gpu, { classes: CLASSES, width: 1 / 16, seed: 7, head: objective })
  const sgd = new Sgd(gpu, model.parameters.groups, {
    momentum: 0.9,
    nesterov: true,
    weightDecay: 1e-4,
  })
  return { model, sgd }
}

/** Losses of twelve steps from `firstStep` on; then a bias that is NaN in the next but one. */
async function losses(
  gpu: Gpu,
  objective: Objective,
  rate: number,
  firstStep = 0,
): Promise<Float32Array> {
  const { model, sgd } = start(gpu, objective)
  const step = await TrainStep.record(gpu, model, objective, sgd, SHAPE, { seed: 3, firstStep })
  for (let i = 0; i < 12; i++) {
    step.run(images, labels, rate)
    await gpu.submitted()
  }
  const found = await step.losses()
  const tape = new Tape(gpu, false)
  const input = new Tensor(gpu.upload('f32', SHAPE, images))
  const logits = model.forward(tape, input, { training: false })
  assert.ok((await gpu.read(logits.value)).every(Number.isFinite), objective.name)
  tape.dispose()
  input.value.release()
  step.run(images, labels, rate)
  gpu.write(model.lastLayer.bias.value, new Float32Array(CLASSES).fill(Number.NaN))
  step.run(images, labels, rate)
  step.run(images, labels, rate)
  let message = ''
  await step.losses().catch((error: Error) => {
    message = error.message
  })
  const { name } = objective
  assert.is(message.split(';')[0], `${name}: in step ${firstStep + 14} a logit is not finite`)
  assert.throws(
    () => step.run(images, new Uint32Array(labels.length).fill(CLASSES), rate),
    `${name}: label 0 is ${CLASSES}, expected an integer from 0 to ${CLASSES - 1}`,
  )
  step.dispose()
  sgd.release()
  model.parameters.release()
  return found
}

for (const name of objectives.keys())
  test(`${name} trains the whole network: twelve steps lower its loss, a logit that is NaN stops it`, async () => {
    const gpu = await openGpu()
    const objective = instantiate(objectiveNamed(name), CLASSES)
    const found = await losses(gpu, objective, 0.01)
    assert.ok(found.every(Number.isFinite), `${found}`)
    assert.ok(found[11]! < 0.9 * found[0]!, `${found}`)
    if (name === 'dropout') {
      assert.equal(await losses(gpu, objective, 0.01), found, 'the same bits when repeated')
      assert.not.equal(await losses(gpu, objective, 0.01, 100), found)
    }
    gpu.close()
  })

test("sigmoid starts from a bias of -log K; another objective from the network's own", () => {
  const bias = (name: string) => {
    const head = instantiate(objectiveNamed(name), CLASSES)
    return { head, initialBias: head.initialBias }
  }
  assert.is(bias('sigmoid').initialBias, -Math.log(CLASSES))
  assert.is(bias('softmax').initialBias, undefined)
})

test('a step whose logits are not finite stops the run, naming the loss and the step', async () => {
  const gpu = await openGpu()
  const objective = instantiate(objectiveNamed('label-smoothing'), CLASSES)
  const { model, sgd } = start(gpu, objective)
  const options = { firstStep: 40 }
  const step = await TrainStep.record(gpu, model, objective, sgd, SHAPE, options)
  step.run(images, labels, 0.01)
  step.run(images, labels, 1e30)
  step.run(images, labels, 0.01)
  let message = ''
  await step.losses().catch((error: Error) => {
    message = error.message
  })
  assert.match(message, /^label-smoothing: in step 43 a logit is not finite/)
  assert.throws(
    () =>
      step.run(
        images,
        labels.map((label) => label + 1),
        0.01,
      ),
    /label-smoothing: label 3 is 4, expected an integer from 0 to 3/,
  )
  gpu.close()
})

test.run()
