import fs from 'node:fs'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluationBatches } from '../../src/data/batches.ts'
import { BatchLoader } from '../../src/data/batchLoader.ts'
import type { BadImageError } from '../../src/data/imageSource.ts'
import { imageDatasetSpecs, openImageDataset } from '../../src/data/registry.ts'
import { rejection, temporaryFolder } from './temporaryFolder.ts'

/** Writes a PNG of 2 x 3 pixels of one grey level. */
async function writeImage(path: string, level: number): Promise<void> {
  fs.mkdirSync(dirname(path), { recursive: true })
  const background = { r: level, g: level, b: level }
  await sharp({ create: { width: 3, height: 2, channels: 3, background } })
    .png()
    .toFile(path)
}

/** [label, grey level] of every example, in order. */
async function contents(spec: string): Promise<[number, number][]> {
  const { train } = await openImageDataset(spec)
  const loader = new BatchLoader(train)
  const found: [number, number][] = []
  for await (const { labels, images } of loader.load(evaluationBatches(train.count, 3))) {
    for (const [i, { data }] of images.entries()) found.push([labels[i]!, data[0]!])
  }
  return found
}

test('classes by name, an empty one keeps its label, numbers sort as text', async () => {
  const folder = temporaryFolder()
  for (const name of ['1', '2', '10', 'b', 'B']) {
    if (name !== '2') await writeImage(join(folder, name, 'a.png'), name.charCodeAt(0))
  }
  fs.mkdirSync(join(folder, '2'))
  fs.mkdirSync(join(folder, '.cache'))
  await writeImage(join(folder, 'b', 'deep/er/x.PNG'), 7)
  fs.writeFileSync(join(folder, 'b', 'notes.txt'), 'no image')
  fs.writeFileSync(join(folder, 'b', '.hidden.png'), 'no image')
  fs.writeFileSync(join(folder, 'readme.png'), 'in no class')
  const data = await openImageDataset(`folder:${folder}`)
  assert.equal(data.classNames, ['1', '10', '2', 'B', 'b'])
  assert.is(data.classes, 5)
  assert.equal([...data.train.labels], [0, 1, 3, 4, 4])
  assert.is(data.test, undefined)
  assert.equal(await contents(`folder:${folder}`), [
    [0, 49],
    [1, 49],
    [3, 66],
    [4, 98],
    [4, 7],
  ])
})

test('train and val are the two splits, with the classes of train', async () => {
  const folder = temporaryFolder()
  await writeImage(join(folder, 'train/cat/1.png'), 0)
  await writeImage(join(folder, 'train/dog/1.png'), 255)
  await writeImage(join(folder, 'val/dog/2.png'), 100)
  const data = await openImageDataset(`folder:${folder}`)
  assert.equal(data.classNames, ['cat', 'dog'])
  assert.equal([...data.test!.labels], [1])
  assert.is((await data.test!.load(0)).data[0], 100)
  // Half black, half white: mean 1/2, standard deviation 1/2, exactly.
  assert.equal(data.statistics, { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] })
  await writeImage(join(folder, 'val/eel/3.png'), 100)
  assert.is(
    await rejection(openImageDataset(`folder:${folder}`)),
    `${join(folder, 'val')} has a class 'eel' that the training split has not`,
  )
})

test('what is no image set is refused with the folder and the reason', async () => {
  const folder = temporaryFolder()
  const open = () => rejection(openImageDataset(`folder:${folder}`))
  assert.is(await open(), `${folder} has no sub-folders, expected one for each class`)
  fs.mkdirSync(join(folder, 'a'))
  assert.match(await open(), / has no images in its 1 class folders, expected files ending in /)
  fs.writeFileSync(join(folder, 'a', 'x.png'), '')
  assert.match(await open(), /x\.png is empty, expected an image$/)
  assert.match(
    await rejection(openImageDataset(`folder:${folder}/absent`)),
    /absent cannot be read: it does not exist$/,
  )
  assert.is(
    await rejection(openImageDataset('tar:x')),
    `data set 'tar:x' is unknown, expected ${imageDatasetSpecs.join(' or ')}`,
  )
})

test('a bad file is left out of the statistics and reported', async () => {
  const folder = temporaryFolder()
  await writeImage(join(folder, 'a/1.png'), 51)
  fs.writeFileSync(join(folder, 'a/0.png'), '')
  const problems: BadImageError[] = []
  const data = await openImageDataset(`folder:${folder}`, { onProblem: (p) => problems.push(p) })
  assert.equal(data.statistics, { mean: [0.2, 0.2, 0.2], std: [0, 0, 0] })
  assert.is(data.train.count, 2, 'the bad file keeps its place')
  assert.equal(
    problems.map(({ path }) => path),
    [join(folder, 'a/0.png')],
  )
})

test.run()
