import fs from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Dataset, ImageSplit } from './dataset.ts'
import { requireLabelRange, withStatistics } from './dataset.ts'
import { fileError } from './files.ts'
import { type IdxImages, readIdxPair } from './idx.ts'

/** Names for the two splits in use: MNIST's `t10k`, EMNIST's `test`. */
const SPLIT_NAMES = { train: ['train'], test: ['t10k', 'test'] } as const
const KINDS = { images: 'idx3', labels: 'idx1' } as const

interface IdxOptions {
  /** The data set's name. */
  name: string
  /** Names of the classes; without it, K = 1 + the largest training label, named by number. */
  classNames?: readonly string[]
}

/**
 * Opens a data set of the MNIST family: four IDX files, gzip'd or not.
 *
 * @param path the folder that holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
 *   `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, or their common prefix
 *   (`data/emnist-letters`). Also found: the ending `.gz` (the plain file wins), `.idx3-ubyte`
 *   with a dot, `test` for `t10k`, and a folder `raw` inside the folder, where torchvision puts
 *   the files.
 * @throws Error naming the file: missing, malformed (see `readIdxImages`), a label out of range,
 *   test images of another size than the training images.
 */
export async function openIdxFamily(path: string, options: IdxOptions): Promise<Dataset> {
  const files = await listCandidates(path)
  const [train, test] = await Promise.all([
    readSplit(path, files, 'train'),
    readSplit(path, files, 'test'),
  ])
  const { height, width } = train.images
  if (test.images.height !== height || test.images.width !== width) {
    throw new Error(
      `${test.imagesFile} holds images of ${test.images.height} x ${test.images.width}, ` +
        `expected ${height} x ${width} as in ${train.imagesFile}`,
    )
  }
  const classNames = [...(options.classNames ?? numberNames(train.labels))]
  for (const split of [train, test]) {
    requireLabelRange(split.labels, classNames.length, split.labelsFile)
  }
  return withStatistics({
    name: options.name,
    source: path,
    classes: classNames.length,
    classNames,
    channels: 1,
    height,
    width,
    train: toSplit(train),
    test: toSplit(test),
  })
}

interface LoadedSplit {
  images: IdxImages
  labels: Uint8Array
  imagesFile: string
  labelsFile: string
}

function toSplit({ images, labels }: LoadedSplit): ImageSplit {
  return { images: images.pixels, labels: Uint32Array.from(labels), count: images.count }
}

function numberNames(labels: Uint8Array): string[] {
  const largest = labels.reduce((max, label) => Math.max(max, label), 0)
  return Array.from({ length: largest + 1 }, (_, label) => `${label}`)
}

async function readSplit(
  path: string,
  files: Candidates,
  split: keyof typeof SPLIT_NAMES,
): Promise<LoadedSplit> {
  const imagesFile = findFile(path, files, split, 'images')
  const labelsFile = findFile(path, files, split, 'labels')
  return { ...(await readIdxPair(imagesFile, labelsFile)), imagesFile, labelsFile }
}

interface Candidates {
  /** Folders to look in, with the names of the files there. */
  folders: { folder: string; names: Set<string> }[]
  /** What may stand before `train-images...`. */
  prefixes: string[]
}

async function listCandidates(path: string): Promise<Candidates> {
  if (await isFolder(path)) {
    const raw = join(path, 'raw')
    const folders = (await isFolder(raw)) ? [path, raw] : [path]
    return { folders: await Promise.all(folders.map(listFolder)), prefixes: [''] }
  }
  const prefix = basename(path)
  return { folders: [await listFolder(dirname(path))], prefixes: [prefix, `${prefix}-`] }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await fs.stat(path)).isDirectory()
  } catch {
    return false
  }
}

async function listFolder(folder: string): Promise<{ folder: string; names: Set<string> }> {
  try {
    return { folder, names: new Set(await fs.readdir(folder)) }
  } catch (error) {
    throw fileError(folder, 'read', error)
  }
}

function findFile(
  path: string,
  { folders, prefixes }: Candidates,
  split: keyof typeof SPLIT_NAMES,
  kind: keyof typeof KINDS,
): string {
  for (const { folder, names } of folders) {
    for (const prefix of prefixes) {
      for (const splitName of SPLIT_NAMES[split]) {
        for (const dash of ['-', '.']) {
          const name = `${prefix}${splitName}-${kind}${dash}${KINDS[kind]}-ubyte`
          for (const ending of ['', '.gz']) {
            if (names.has(name + ending)) return join(folder, name + ending)
          }
        }
      }
    }
  }
  const expected = `${prefixes.at(-1)}${SPLIT_NAMES[split][0]}-${kind}-${KINDS[kind]}-ubyte[.gz]`
  throw new Error(
    `${path} has no ${split} ${kind}: expected a file ${expected} in ${folders[0]!.folder}`,
  )
}
