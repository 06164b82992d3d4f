// Does input keep up? Images a second of a folder of 224 x 224 JPEGs,
//
//   sharp    decoded by sharp alone, as many at a time, to raw pixels that are thrown away
//   loader   decoded by BatchLoader
//   input    decoded by ImageInput, random resized crop, mirrored and normalised on the device
//
// in alternating rounds, and the ratio of `input` to `sharp`: of their best rounds, and the median of
// the ratios within a round. On a software driver the device's work takes time of the same cores. The
// processor time of each, over all threads, says the same where other programs share the cores. As
// in a run, one ImageInput lasts through all rounds. After `npm run setup`:
//
//   node bench/decode.mjs [--images 512] [--batch 64] [--concurrency 8*CORES] [--rounds 5] [--json]
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { BatchLoader, ImageInput, openGpu, openImageDataset } from '../dist/index.mjs'

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '512' },
    batch: { type: 'string', default: '64' },
    concurrency: { type: 'string', default: String(8 * os.availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const [images, batch, concurrency, rounds] = ['images', 'batch', 'concurrency', 'rounds'].map(
  (name) => Number(values[name]),
)
const SIDE = 224
sharp.concurrency(1)
sharp.cache(false)

/** Crops of a photograph, enlarged, with noise: JPEGs of about 20 KB, as resized ImageNet has. */
async function writeImages(folder) {
  const photo = new URL('../test/fixtures/images/go/video-001.jpeg', import.meta.url)
  const bytes = fs.readFileSync(photo)
  const noise = { type: 'gaussian', mean: 128, sigma: 14 }
  const grain = await sharp({ create: { width: SIDE, height: SIDE, channels: 3, noise } })
    .png()
    .toBuffer()
  for (let i = 0; i < images; i++) {
    const region = { left: i % 50, top: (7 * i) % 30, width: 90, height: 70 }
    const file = path.join(folder, `${i % 10}`, `${i}.jpg`)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    await sharp(bytes)
      .extract(region)
      .resize(SIDE, SIDE, { fit: 'fill' })
      .composite([{ input: grain, blend: 'overlay' }])
      .jpeg({ quality: 90 })
      .toFile(file)
  }
}

/** Images a second, and milliseconds of processor time an image. */
async function measure(work) {
  const start = performance.now()
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return {
    rate: (1000 * images) / (performance.now() - start),
    processor: (user + system) / 1000 / images,
  }
}

async function plainSharp(files) {
  const queue = files.values()
  const decode = async () => {
    for (const file of queue) await sharp(file).raw().toBuffer()
  }
  await Promise.all(Array.from({ length: concurrency }, decode))
}

function* batches() {
  for (let first = 0; first < images; first += batch) {
    yield Uint32Array.from({ length: Math.min(batch, images - first) }, (_, i) => first + i)
  }
}

async function loaderOnly(data) {
  const loader = new BatchLoader(data.train, { concurrency })
  for await (const _ of loader.load(batches()));
}

async function wholeInput(gpu, input) {
  const planned = Array.from(batches(), (examples) => ({ examples, epoch: 0 }))
  for await (const ready of input.training(planned, 1)) {
    const target = gpu.empty('f32', [ready.labels.length, ...input.shape])
    await ready.fill(target)
    target.release()
  }
  await gpu.idle()
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gramgrad-decode-'))
const gpu = await openGpu()
try {
  await writeImages(folder)
  const data = await openImageDataset(`folder:${folder}`)
  const input = new ImageInput(gpu, data, data.train, { concurrency })
  const files = fs
    .readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.jpg'))
    .map((file) => path.join(folder, file))
  const bytes = files.reduce((sum, file) => sum + fs.statSync(file).size, 0) / images
  const works = {
    sharp: () => plainSharp(files),
    loader: () => loaderOnly(data),
    input: () => wholeInput(gpu, input),
  }
  const found = { sharp: [], loader: [], input: [] }
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of Object.entries(works)) {
      const measured = await measure(work)
      // The first round compiles and warms up.
      if (round > 0) found[name].push(measured)
    }
  }
  const best = Object.fromEntries(
    Object.entries(found).map(([name, all]) => [
      name,
      {
        imagesPerSecond: Math.max(...all.map(({ rate }) => rate)),
        processorMilliseconds: Math.min(...all.map(({ processor }) => processor)),
      },
    ]),
  )
  const report = {
    adapter: gpu.profile.adapter,
    images,
    bytesPerImage: Math.round(bytes),
    batch,
    concurrency,
    ...best,
    ratio: best.input.imagesPerSecond / best.sharp.imagesPerSecond,
    medianRatio: median(found.input.map(({ rate }, i) => rate / found.sharp[i].rate)),
    processorRatio: best.sharp.processorMilliseconds / best.input.processorMilliseconds,
    medianProcessorRatio: median(
      found.input.map(({ processor }, i) => found.sharp[i].processor / processor),
    ),
  }
  if (values.json) console.log(JSON.stringify(report))
  else {
    console.log(`${report.adapter}; ${images} JPEGs of ${report.bytesPerImage} bytes on average`)
    for (const [name, { imagesPerSecond, processorMilliseconds }] of Object.entries(best))
      console.log(
        `${name.padEnd(7)} ${imagesPerSecond.toFixed(0).padStart(6)} images/s, ` +
          `${processorMilliseconds.toFixed(2)} ms of processor time an image`,
      )
    for (const [by, best, middle] of [
      ['the clock', report.ratio, report.medianRatio],
      ['processor time', report.processorRatio, report.medianProcessorRatio],
    ])
      console.log(
        `input / sharp by ${by}: ${best.toFixed(3)}, median of rounds ${middle.toFixed(3)}`,
      )
  }
  input.release()
} finally {
  gpu.close()
  fs.rmSync(folder, { recursive: true, force: true })
}
