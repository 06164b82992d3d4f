import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { dataFolder } from './dataFolder.ts'
import { type Dataset, type ImageSplit, requireLabelRange, withStatistics } from './dataset.ts'
import { readSafetensors } from './safetensors.ts'

/** Data sets that scripts/datasets/install.mjs installs. */
export const installable = ['mnist', 'emoji', 'emoji-kinds', 'playing-cards', 'clip-art'] as const

/**
 * Opens an installed data set: NAME.safetensors in `dataFolder()`, with `train_images` and
 * `test_images` u8 [N, H, W, C], `train_labels` and `test_labels` i32 [N], and metadata `classNames`,
 * a JSON array.
 *
 * @throws Error naming the file: not installed (it says how to), or with other contents
 */
export async function openInstalled(name: string): Promise<Dataset> {
  const file = join(dataFolder(), `${name}.safetensors`)
  if (!existsSync(file))
    throw new Error(
      `data set '${name}' is not installed in ${dataFolder()}: run node scripts/datasets/install.mjs ${name}`,
    )
  const { tensors, metadata } = await readSafetensors(file)
  const images = tensors.get('train_images')
  const [, height, width, channels] = images?.shape ?? []
  const classNames = namesOf(metadata.classNames)
  if (!height || !width || !channels || !classNames)
    throw new Error(`${file} has not the images and class names of an installed data set`)
  const split = (part: string): ImageSplit => {
    const { data, shape } = tensors.get(`${part}_images`) ?? { data: undefined, shape: [] }
    const labels = tensors.get(`${part}_labels`)?.data
    const [count = 0, ...size] = shape
    if (!(data instanceof Uint8Array) || `${size}` !== `${[height, width, channels]}`)
      throw new Error(`${file}: ${part}_images are [${shape}], expected u8 of the training size`)
    if (!(labels instanceof Int32Array) || labels.length !== count || count === 0)
      throw new Error(`${file}: ${part}_labels do not fit ${count} images`)
    requireLabelRange(Uint32Array.from(labels), classNames.length, file)
    return { images: data, labels: Uint32Array.from(labels), count }
  }
  return withStatistics({
    name,
    source: file,
    classes: classNames.length,
    classNames,
    channels,
    height,
    width,
    train: split('train'),
    test: split('test'),
  })
}

function namesOf(text: string | undefined): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text ?? '')
    if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names
  } catch {}
  return undefined
}
