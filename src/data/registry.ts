import type { Dataset } from './dataset.ts'
import { type FashionMnistOptions, openFashionMnist } from './fashionMnist.ts'
import { openIdxFamily } from './idxFamily.ts'

/** Data sets that a name alone opens. */
const NAMED: Record<string, (options: FashionMnistOptions) => Promise<Dataset>> = {
  'fashion-mnist': openFashionMnist,
}

/** File formats, opened as FORMAT:PATH. */
const FORMATS: Record<string, (path: string, name: string) => Promise<Dataset>> = {
  idx: (path, name) => openIdxFamily(path, { name }),
}

/** What `openDataset` understands, as a user types it: names, then `FORMAT:PATH`. */
export const datasetSpecs: readonly string[] = [
  ...Object.keys(NAMED),
  ...Object.keys(FORMATS).map((format) => `${format}:PATH`),
]

/**
 * Opens a data set by its registered name (`fashion-mnist`) or as FORMAT:PATH (`idx:folder`).
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
  const colon = spec.indexOf(':')
  const format = spec.slice(0, Math.max(colon, 0))
  if (!Object.hasOwn(FORMATS, format)) {
    throw new Error(`data set '${spec}' is unknown, expected ${datasetSpecs.join(' or ')}`)
  }
  const path = spec.slice(colon + 1)
  if (path === '') throw new Error(`data set '${spec}' names no path, expected ${format}:PATH`)
  const given = Object.entries(options).find(([, value]) => value !== undefined)
  if (given !== undefined) {
    throw new Error(`${given[0]} is given with data set '${spec}', expected only with a named one`)
  }
  return FORMATS[format]!(path, spec)
}
