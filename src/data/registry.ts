import { resolve } from 'node:path'
import { openCifar } from './cifar.ts'
import type { Dataset } from './dataset.ts'
import { type FashionMnistOptions, openFashionMnist } from './fashionMnist.ts'
import { openIdxFamily } from './idxFamily.ts'
import { openNpyImages, openSafetensorsImages } from './imageArrays.ts'
import { type ImageFolderOptions, openImageFolder } from './imageFolder.ts'
import { type AnyDataset, asImageDataset, type ImageDataset } from './imageSource.ts'
import { installable, openInstalled } from './installed.ts'

/** Data sets that a name alone opens. */
const NAMED: Record<string, (options: FashionMnistOptions) => Promise<Dataset>> = {
  'fashion-mnist': openFashionMnist,
  ...Object.fromEntries(installable.map((name) => [name, () => openInstalled(name)])),
}

/** File formats that are read into memory whole, opened as FORMAT:PATH. */
const FORMATS: Record<string, (path: string, name: string) => Promise<Dataset>> = {
  idx: (path, name) => openIdxFamily(path, { name }),
  cifar10: (path, name) => openCifar('cifar10', path, name),
  cifar100: (path, name) => openCifar('cifar100', path, name),
}

/** Formats of data sets that have one split, images of many sizes or no end. */
const IMAGE_FORMATS: Record<
  string,
  (path: string, name: string, options: ImageFolderOptions) => Promise<ImageDataset>
> = {
  folder: openImageFolder,
  npy: openNpyImages,
  safetensors: openSafetensorsImages,
}

/** What `openDataset` understands, as a user types it: names, then `FORMAT:PATH`. */
export const datasetSpecs: readonly string[] = [
  ...Object.keys(NAMED),
  ...Object.keys(FORMATS).map((format) => `${format}:PATH`),
]

/** What `openImageDataset` understands. */
export const imageDatasetSpecs: readonly string[] = [
  ...datasetSpecs,
  ...Object.keys(IMAGE_FORMATS).map((format) => `${format}:PATH`),
]

/**
 * Opens a data set of any kind: what `openDataset` opens, a folder of image files (`folder:PATH`) or
 * arrays (`safetensors:FILE`, `npy:FOLDER`).
 *
 * @param options for folders: how files are decoded, and who is told of bad ones.
 * @throws Error as `openDataset`, and as the reader.
 */
export async function openImageDataset(
  spec: string,
  options: ImageFolderOptions = {},
): Promise<ImageDataset> {
  return asImageDataset(await openAnyDataset(spec, options))
}

export interface AnyDatasetOptions extends ImageFolderOptions {
  /** Of a named data set. */
  readonly size?: FashionMnistOptions['size']
  /** Folder that a relative PATH starts from; the data set's name stays the spec. Default: the working directory. */
  readonly base?: string
}

/**
 * Opens a data set of any kind as it lies: in memory where its format is read whole.
 *
 * @throws Error as `openImageDataset`
 */
export async function openAnyDataset(
  spec: string,
  { size, base = '', ...folder }: AnyDatasetOptions = {},
): Promise<AnyDataset> {
  const { format } = splitSpec(spec)
  const pathOf = () => (base === '' ? requirePath(spec) : resolve(base, requirePath(spec)))
  if (Object.hasOwn(IMAGE_FORMATS, format)) return IMAGE_FORMATS[format]!(pathOf(), spec, folder)
  if (Object.hasOwn(FORMATS, format) && size === undefined) return FORMATS[format]!(pathOf(), spec)
  if (!Object.hasOwn(NAMED, spec) && !Object.hasOwn(FORMATS, format)) {
    throw new Error(`data set '${spec}' is unknown, expected ${imageDatasetSpecs.join(' or ')}`)
  }
  return openDataset(spec, size ? { size } : {})
}

/**
 * Opens a data set by its registered name (`fashion-mnist`) or as FORMAT:PATH (`idx:folder`), all of
 * it in memory.
 *
 * @param options for named data sets only: which size, and where the files are.
 * @throws Error for an unknown name or format (listing those known), a format without a path, or
 *   options with a format; and as the reader.
 */
export async function openDataset(
  spec: string,
  options: FashionMnistOptions = {},
): Promise<Dataset> {
  if (Object.hasOwn(NAMED, spec)) return NAMED[spec]!(options)
  const { format } = splitSpec(spec)
  if (!Object.hasOwn(FORMATS, format)) {
    throw new Error(`data set '${spec}' is unknown, expected ${datasetSpecs.join(' or ')}`)
  }
  const path = requirePath(spec)
  const given = Object.entries(options).find(([, value]) => value !== undefined)
  if (given !== undefined) {
    throw new Error(`${given[0]} is given with data set '${spec}', expected only with a named one`)
  }
  return FORMATS[format]!(path, spec)
}

/** The two sides of the first colon; a format of '' where there is none. */
function splitSpec(spec: string): { format: string; path: string } {
  const colon = spec.indexOf(':')
  return { format: spec.slice(0, Math.max(colon, 0)), path: spec.slice(colon + 1) }
}

function requirePath(spec: string): string {
  const { format, path } = splitSpec(spec)
  if (path === '') throw new Error(`data set '${spec}' names no path, expected ${format}:PATH`)
  return path
}
