import fs from 'node:fs/promises'
import { join } from 'node:path'
import { type DecodeOptions, decodeImage, isImageName } from './decodeImage.ts'
import { fileError } from './files.ts'
import type { BadImageError, ImageDataset, ImageSource } from './imageSource.ts'
import { sampleStatistics } from './sampleStatistics.ts'

export interface ImageFolderOptions extends DecodeOptions {
  /** Told of the files that gave no image when the statistics were taken. */
  readonly onProblem?: (problem: BadImageError) => void
  /** Whether validation images are kept apart where there are test images too. Default false. */
  readonly validation?: boolean
}

/** What the two splits' folders may be called. */
const TRAIN_NAMES = ['train', 'training']
const VALIDATION_NAMES = ['val', 'valid', 'validation']
const TEST_NAMES = ['test', 'testing']

/**
 * Opens a folder with one sub-folder a class, as torchvision's ImageFolder: labels 0 .. K - 1 by the
 * folders' names in the order of their characters' codes, so '10' comes before '2' (torchvision's
 * order; name numeric folders with leading zeros where the numbers matter). An empty class folder
 * keeps its label. Images may lie in folders inside a class folder; files of other endings and names
 * that begin with a dot are passed over.
 *
 * Where `path` holds a folder `train` and one of `val`, `valid`, `validation` or `test`, those are
 * the two splits, the first of these names before the others, and the classes are the training split's;
 * else all of it is one split. With `validation`, a folder that holds all three has three splits.
 *
 * No image is opened but for a sample for the mean and the standard deviation.
 *
 * @throws Error naming the folder: missing, without sub-folders, without any image, or a test split
 *   with a class that the training split has not.
 */
export async function openImageFolder(
  path: string,
  name: string,
  options: ImageFolderOptions = {},
): Promise<ImageDataset> {
  const names = await listFolders(path)
  const find = (candidates: readonly string[]) => candidates.find((name) => names.includes(name))
  const trainName = find(TRAIN_NAMES)
  const isThreefold = options.validation && find(VALIDATION_NAMES) && find(TEST_NAMES)
  const testName = find(isThreefold ? TEST_NAMES : [...VALIDATION_NAMES, ...TEST_NAMES])
  const split = trainName !== undefined && testName !== undefined
  const trainPath = split ? join(path, trainName) : path
  const classNames = split ? await listFolders(trainPath) : names
  if (classNames.length === 0) {
    throw new Error(`${trainPath} has no sub-folders, expected one for each class`)
  }
  const train = await openSplit(trainPath, classNames, options)
  const open = (folder: string) => openTest(join(path, folder), classNames, options)
  const test = split ? await open(testName) : undefined
  const validation = split && isThreefold ? await open(find(VALIDATION_NAMES)!) : undefined
  return {
    name,
    source: path,
    classes: classNames.length,
    classNames,
    size: undefined,
    channels: 3,
    statistics: await sampleStatistics(train, options.onProblem ?? (() => {})),
    train,
    test,
    ...(validation ? { validation } : {}),
  }
}

/** A source that decodes files. */
class FileSource implements ImageSource {
  readonly count: number
  constructor(
    readonly paths: readonly string[],
    readonly labels: Uint32Array,
    private readonly options: DecodeOptions,
  ) {
    this.count = paths.length
  }

  load(index: number) {
    return decodeImage(this.paths[index]!, this.options)
  }
}

async function openTest(
  path: string,
  classNames: readonly string[],
  options: DecodeOptions,
): Promise<FileSource> {
  const unknown = (await listFolders(path)).find((name) => !classNames.includes(name))
  if (unknown !== undefined) {
    throw new Error(`${path} has a class '${unknown}' that the training split has not`)
  }
  return openSplit(path, classNames, options)
}

async function openSplit(
  path: string,
  classNames: readonly string[],
  options: DecodeOptions,
): Promise<FileSource> {
  const folders = await listFolders(path)
  const paths: string[] = []
  const labels: number[] = []
  for (const [label, className] of classNames.entries()) {
    if (!folders.includes(className)) continue
    const files = await listImages(join(path, className))
    for (const file of files) {
      paths.push(file)
      labels.push(label)
    }
  }
  if (paths.length === 0) {
    throw new Error(
      `${path} has no images in its ${classNames.length} class folders, ` +
        'expected files ending in .jpg, .png, .webp or the like',
    )
  }
  return new FileSource(paths, Uint32Array.from(labels), options)
}

async function readFolder(path: string) {
  try {
    return await fs.readdir(path, { withFileTypes: true })
  } catch (error) {
    throw fileError(path, 'read', error)
  }
}

async function listFolders(path: string): Promise<string[]> {
  const entries = await readFolder(path)
  const isFolder = async (name: string) => (await fs.stat(join(path, name))).isDirectory()
  const folders: string[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(entry.name)))) {
      folders.push(entry.name)
    }
  }
  return folders.sort(byCode)
}

/** All image files below a folder, by path. */
async function listImages(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readFolder(folder)) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...(await listImages(path)))
    else if (isImageName(entry.name)) found.push(path)
  }
  return found.sort(byCode)
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : 1
}
