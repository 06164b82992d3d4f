import { openCifar } from './cifar.ts'
import type { Dataset } from './dataset.ts'
import { type FashionMnistOptions, openFashionMnist } from './fashionMnist.ts'
import { openIdxFamily } from './idxFamily.ts'
import { openNpyImages, openSafetensorsImages } from './imageArrays.ts'
import { type ImageFolderOptions, openImageFolder } from './imageFolder.ts'
import { type ImageDataset, toImageDataset } from './imageSource.ts'
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
  const { format } = splitSpec(spec)
  if (Object.hasOwn(IMAGE_FORMATS, format)) {
    return IMAGE_FORMATS[format]!(requirePath(spec), spec, options)
  }
  if (!Object.hasOwn(NAMED, spec) && !Object.hasOwn(FORMATS, format)) {
    throw new Error(`data set '${spec}' is unknown, expected ${imageDatasetSpecs.join(' or ')}`)
  }
  return toImageDataset(await openDataset(spec))
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
