import fs from 'node:fs/promises'
import { join } from 'node:path'
import { type Dataset, type ImageSplit, requireLabelRange, withStatistics } from './dataset.ts'
import { readFileBytes } from './files.ts'

const SIDE = 32
const PIXELS = SIDE * SIDE
const CHANNELS = 3

interface Variant {
  /** Folder that the published archive unpacks to. */
  folder: string
  train: readonly string[]
  test: readonly string[]
  /** Text file with a class name a line. */
  names: string
  classes: number
  /** Label bytes before the pixels, and which of them is the class. */
  labelBytes: number
  labelAt: number
}

const VARIANTS = {
  cifar10: {
    folder: 'cifar-10-batches-bin',
    train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
    test: ['test_batch.bin'],
    names: 'batches.meta.txt',
    classes: 10,
    labelBytes: 1,
    labelAt: 0,
  },
  cifar100: {
    folder: 'cifar-100-binary',
    train: ['train.bin'],
    test: ['test.bin'],
    names: 'fine_label_names.txt',
    classes: 100,
    labelBytes: 2,
    labelAt: 1,
  },
} as const satisfies Record<string, Variant>

/**
 * Opens CIFAR-10 or CIFAR-100 (A. Krizhevsky, "Learning multiple layers of features from tiny
 * images", 2009) in its binary version: records of one label byte, or of two (coarse, then fine),
 * and 3,072 bytes, the red, green and blue plane row by row. CIFAR-100's label is the fine one.
 *
 * @param path the folder that holds `data_batch_1.bin` and so on, or that which holds the folder
 *   `cifar-10-batches-bin` or `cifar-100-binary`. Class names come from the archive's text file and
 *   are the numbers where that is missing.
 * @throws Error naming the file: missing, empty, of a size that is no multiple of a record, or with
 *   a label out of range.
 */
export async function openCifar(
  variant: keyof typeof VARIANTS,
  path: string,
  name: string,
): Promise<Dataset> {
  const layout: Variant = VARIANTS[variant]
  const folder = await findFolder(path, layout)
  const [train, test] = await Promise.all([
    readSplit(folder, layout.train, layout),
    readSplit(folder, layout.test, layout),
  ])
  return withStatistics({
    name,
    source: path,
    classes: layout.classes,
    classNames: await readNames(join(folder, layout.names), layout.classes),
    channels: CHANNELS,
    height: SIDE,
    width: SIDE,
    train,
    test,
  })
}

async function findFolder(path: string, { folder, train }: Variant): Promise<string> {
  const inner = join(path, folder)
  return (await exists(join(path, train[0]!))) || !(await exists(inner)) ? path : inner
}

async function exists(path: string): Promise<boolean> {
  return fs.access(path).then(
    () => true,
    () => false,
  )
}

async function readSplit(
  folder: string,
  files: readonly string[],
  layout: Variant,
): Promise<ImageSplit> {
  const parts = await Promise.all(files.map((file) => readRecords(join(folder, file), layout)))
  const count = parts.reduce((sum, part) => sum + part.labels.length, 0)
  const images = new Uint8Array(count * PIXELS * CHANNELS)
  const labels = new Uint32Array(count)
  let at = 0
  for (const part of parts) {
    images.set(part.images, at * PIXELS * CHANNELS)
    labels.set(part.labels, at)
    at += part.labels.length
  }
  return { images, labels, count }
}

async function readRecords(
  file: string,
  { classes, labelBytes, labelAt }: Variant,
): Promise<Pick<ImageSplit, 'images' | 'labels'>> {
  const bytes = await readFileBytes(file)
  const record = labelBytes + PIXELS * CHANNELS
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw new Error(
      `${file} has ${bytes.length} bytes, expected a positive multiple of ${record}, ` +
        `the size of a record of CIFAR-${classes}`,
    )
  }
  const count = bytes.length / record
  const labels = Uint32Array.from({ length: count }, (_, i) => bytes[i * record + labelAt]!)
  requireLabelRange(labels, classes, file)
  const images = new Uint8Array(count * PIXELS * CHANNELS)
  for (let i = 0; i < count; i++) {
    const planes = bytes.subarray(i * record + labelBytes, (i + 1) * record)
    const to = i * PIXELS * CHANNELS
    for (let p = 0; p < PIXELS; p++) {
      for (let c = 0; c < CHANNELS; c++) images[to + CHANNELS * p + c] = planes[c * PIXELS + p]!
    }
  }
  return { images, labels }
}

async function readNames(file: string, classes: number): Promise<string[]> {
  if (!(await exists(file))) return Array.from({ length: classes }, (_, label) => `${label}`)
  const text = new TextDecoder().decode(await readFileBytes(file))
  const names = text.split(/\r?\n/).filter((line) => line !== '')
  if (names.length !== classes) {
    throw new Error(`${file} has ${names.length} class names, expected ${classes}`)
  }
  return names
}
