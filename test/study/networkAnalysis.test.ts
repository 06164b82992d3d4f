import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../../src/data/dataset.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { ResNet } from '../../src/nn/resnet.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { analyseLayers } from '../../src/study/layerAnalysis.ts'
import { compareNetworks } from '../../src/study/networkComparison.ts'
import { MemoryInput } from '../../src/train/input.ts'

const gpu = await openGpu()
const count = 21
const random = new RandomStream(5, 99)
const images = Uint8Array.from({ length: count * 32 * 32 }, (_, i) =>
  Math.floor(256 * random.uniform(i)),
)
const labels = Uint32Array.from({ length: count }, (_, i) => i % 3)
const split = { images, labels, count }
const dataset: Dataset = {
  name: 'noise',
  source: 'nowhere',
  classes: 3,
  classNames: ['0', '1', '2'],
  channels: 1,
  height: 32,
  width: 32,
  mean: [0.5],
  std: [0.3],
  train: split,
  test: split,
}
const input = (examples?: Uint32Array) => new MemoryInput(gpu, dataset, split, examples)
const models = [1, 2, 3].map((seed) => {
  const model = new ResNet({ arch: 'resnet18', width: 0.0625, classes: 3, zeroGamma: false })
  model.parameters.allocate(gpu, seed)
  return { name: `network ${seed}`, model }
})
const examples = new RandomStream(1, 99).permutation(count)
const nothing = () => {}

test('layers in many passes over the images give the same as in one', async () => {
  const [model] = models
  const whole = await analyseLayers(gpu, input(), 3, model!, nothing)
  const told: [number, number][] = []
  const parts = await analyseLayers(gpu, input(), 3, model!, (...at) => told.push(at), 5_000)
  assert.equal(
    parts.layers.map(({ r2: _, ...rest }) => rest),
    whole.layers.map(({ r2: _, ...rest }) => rest),
  )
  // A row's norm is a float32 sum of slices, whose number depends on the widest layer of a pass.
  for (const [i, { name, r2 }] of whole.layers.entries())
    assert.ok(Math.abs(r2! - parts.layers[i]!.r2!) < 1e-6, `${name}: ${r2}`)
  assert.is(whole.examples, count)
  assert.equal(
    whole.layers.map(({ name }) => name),
    model!.model.layerNames,
  )
  const [done, total] = told.at(-1)!
  assert.is(done, total)
  assert.ok(total > count && total % count === 0, `${total} images in several passes`)
})

test('CKA of features that are streamed is that of features that are held', async () => {
  // Minibatches of eight, eight and five.
  const compare = (together: number) =>
    compareNetworks(gpu, examples, input, models, nothing, { batch: 8, together })
  const held = await compare(2 ** 31)
  const streamed = await compare(0)
  assert.equal(
    streamed.map(({ a, b, layersA, n, batches }) => ({ a, b, layersA, n, batches })),
    held.map(({ a, b, layersA, n, batches }) => ({ a, b, layersA, n, batches })),
  )
  assert.equal([held.length, held[0]!.n, held[0]!.batches], [2, count, 3])
  // Gram matrices are summed in float32 either way, in pieces of unlike sizes.
  for (const [i, { matrix }] of held.entries())
    for (const [r, row] of matrix.entries())
      for (const [c, value] of row.entries()) {
        const other = streamed[i]!.matrix[r]![c]!
        assert.ok(Math.abs(value! - other) < 1e-5, `${i} ${r} ${c}: ${value} and ${other}`)
      }
})

test('more passes draw other minibatches of the same images', async () => {
  const [comparison] = await compareNetworks(gpu, examples, input, models.slice(0, 2), nothing, {
    batch: 8,
    epochs: 3,
  })
  assert.equal([comparison!.n, comparison!.batches], [3 * count, 9])
})

test.after(() => gpu.close())
test.run()
