import fs from 'node:fs'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EvaluationCrop } from '../../src/data/augment/evaluationPlan.ts'
import { drawMixing } from '../../src/data/augment/mixup.ts'
import { evaluationBatches, TrainingOrder } from '../../src/data/batches.ts'
import { ImageInput, type ImageInputOptions, type ReadyBatch } from '../../src/data/imageInput.ts'
import { type ImageDataset, memorySource } from '../../src/data/imageSource.ts'
import { openImageDataset } from '../../src/data/registry.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { picture } from './augmentFixtures.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

const gpu = await openGpu()
test.after(() => gpu.close())

async function writePicture(path: string, height: number, width: number, seed: number) {
  fs.mkdirSync(dirname(path), { recursive: true })
  const { data } = picture(height, width, seed)
  await sharp(data, { raw: { width, height, channels: 3 } }).toFile(path)
}

/** Twelve pictures of several sizes and formats in three classes. */
async function folder(): Promise<string> {
  const path = temporaryFolder()
  for (let i = 0; i < 12; i++) {
    const ending = ['png', 'jpg', 'webp'][i % 3]
    await writePicture(join(path, 'abc'[i % 3]!, `${i}.${ending}`), 30 + 7 * i, 90 - 5 * i, i)
  }
  return path
}

/** Inputs and labels of all batches. */
async function collect(input: ImageInput, batches: AsyncIterable<ReadyBatch>) {
  const values: number[] = []
  const labels: number[] = []
  for await (const batch of batches) {
    const images = gpu.empty('f32', [batch.labels.length, ...input.shape])
    await batch.fill(images)
    values.push(...(await gpu.read(images)))
    labels.push(...batch.labels)
    images.release()
  }
  return { values, labels }
}

const SMALL = { height: 12, width: 16 }

/** Steps `first` to 5 of a training with augmentation. */
async function train(data: ImageDataset, first: number, options: ImageInputOptions) {
  const order = new TrainingOrder({ count: data.train.count, batchSize: 4, seed: 2 })
  function* batches() {
    for (let step = first; step < 6; step++) {
      yield { examples: order.batch(step), epoch: Math.floor(step / order.batchesPerEpoch) }
    }
  }
  const input = new ImageInput(gpu, data, data.train, { ...SMALL, ...options })
  const found = await collect(input, input.training(batches(), 9, { autoAugment: true }))
  input.release()
  return found
}

test('training: the same bits with one decoder and with four, and from the middle on', async () => {
  const data = await openImageDataset(`folder:${await folder()}`)
  const one = await train(data, 0, { concurrency: 1, prefetch: 1 })
  assert.is(one.values.length, 6 * 4 * 12 * 16 * 3)
  assert.equal(await train(data, 0, { concurrency: 4, prefetch: 3 }), one)
  const resumed = await train(data, 4, { concurrency: 3 })
  assert.equal(resumed.values, one.values.slice((one.values.length / 6) * 4))
  assert.equal(resumed.labels, one.labels.slice(16))
  const epochs = [
    one.values.slice(0, one.values.length / 2),
    one.values.slice(one.values.length / 2),
  ]
  assert.not.equal(epochs[0]!.sort(), epochs[1]!.sort(), 'another epoch is augmented otherwise')
})

test('evaluation: every image once, resized, normalised with the statistics given', async () => {
  const path = await folder()
  fs.writeFileSync(join(path, 'b', '00.png'), 'no image')
  const data = await openImageDataset(`folder:${path}`)
  const problems: string[] = []
  const options = { ...SMALL, mean: [0], std: [1 / 255], onBadImage: 'drop' } as const
  const input = new ImageInput(gpu, data, data.train, {
    ...options,
    onProblem: ({ message }) => problems.push(message),
  })
  const run = (crop?: EvaluationCrop) =>
    collect(input, input.evaluation(evaluationBatches(13, 5), crop))
  const { values, labels } = await run()
  assert.equal(labels, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
  assert.is(problems.length, 1)
  assert.match(problems[0]!, /00\.png is no image/)
  assert.equal([...input.problems.keys()], [4])
  assert.ok(values.every((value) => value >= 0 && value <= 255 && Math.abs(value % 1) < 1e-4))
  assert.not.equal((await run({ resize: 12 })).values, values)
  assert.throws(
    () => input.training([], 0),
    'onBadImage is drop, expected fail or replace in training',
  )
  input.release()
})

const LABELS = Uint32Array.of(0, 1)

test('sizes: 224 for folders, at least 32 for images of one size', async () => {
  const grey = { count: 2, labels: LABELS, images: new Uint8Array(2 * 28 * 40) }
  const size = { height: 28, width: 40 }
  const source = memorySource(grey, { ...size, channels: 1 })
  const statistics = { mean: [0.5], std: [0.5] }
  const input = new ImageInput(gpu, { size, statistics }, source)
  assert.equal([input.shape, input.count], [[32, 40, 3], 2])
  const { values } = await collect(input, input.evaluation([Uint32Array.of(1)]))
  assert.ok(values.every((value) => value === -1))
  input.release()
  const many = new ImageInput(gpu, { size: undefined, statistics }, source)
  assert.equal(many.shape, [224, 224, 3])
  many.release()
})

test('f32 images are taken as they are; Mixup mixes them as well', async () => {
  const data = Float32Array.of(1, 2, 3, 4)
  const size = { height: 1, width: 2 }
  const source = memorySource({ images: data, labels: LABELS, count: 2 }, { ...size, channels: 1 })
  const dataset = { size, statistics: undefined }
  const input = new ImageInput(gpu, dataset, source)
  assert.equal(input.shape, [1, 2, 3])
  const batches = () => [{ examples: Uint32Array.of(1, 0), epoch: 0 }]
  const plain = await collect(input, input.training(batches(), 0, { crop: 'none' }))
  assert.equal(plain, { values: [3, 3, 3, 4, 4, 4, 1, 1, 1, 2, 2, 2], labels: [1, 0] })
  const mixing = { ...drawMixing(0.2, 2, 0, 0), lambda: 0.75, partners: Uint32Array.of(1, 0) }
  const images = gpu.empty('f32', [2, 1, 2, 3])
  for await (const batch of input.evaluation([Uint32Array.of(0, 1)])) {
    await batch.fill(images, mixing)
  }
  assert.equal(
    [...(await gpu.read(images))],
    [1.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 3.5, 3.5, 3.5],
  )
  images.release()

  assert.throws(
    () => input.training(batches(), 0),
    "images are f32 and taken as they are, expected augmentation 'none'",
  )
  assert.throws(
    () => new ImageInput(gpu, dataset, source, { mean: [0] }),
    'mean or std is given, but the images are f32 and taken as they are',
  )
  assert.throws(
    () => new ImageInput(gpu, dataset, source, { height: 32 }),
    /^the input is 32 x 2, expected 1 x 2, as the images are f32/,
  )
})

test('a bad file ends the run with its name, unless it is to be replaced', async () => {
  const path = await folder()
  const bad = join(path, 'a', '3.png')
  fs.truncateSync(bad, 60)
  const data = await openImageDataset(`folder:${path}`)
  assert.match(await rejection(train(data, 0, {})), /3\.png can't be decoded|3\.png is no image/)
  const { labels } = await train(data, 0, { onBadImage: 'replace' })
  assert.is(labels.length, 24)
})

test.run()
