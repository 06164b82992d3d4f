import { join } from 'node:path'
import { ArrayFile } from './arrayFile.ts'
import { channelStatistics } from './channelStatistics.ts'
import { type ImageDataset, memorySource } from './imageSource.ts'
import type { NamedTensor } from './safetensors.ts'

/**
 * Opens images and labels that lie in one .safetensors file as the tensors `images`, u8 or f32
 * [N, H, W, C], and `labels`, i32, i64, u32 or u8 [N]; other tensors are passed over. They are one
 * split.
 *
 * f32 images are taken as they are; u8 ones are to be scaled to [0, 1] and normalised with the
 * statistics found here. K is 1 + the largest label.
 *
 * @throws Error naming the file and the array: missing, of another dtype or shape, labels that are
 *   negative or not as many as the images; and as `ArrayFile.open`.
 */
export async function openSafetensorsImages(path: string, name: string): Promise<ImageDataset> {
  const [images, labels] = await readArrays(path, ['images', 'labels'])
  return imageArrays(name, path, images!, labels!)
}

/**
 * The same from a folder with the files `images.npy` and `labels.npy`.
 *
 * @throws Error as `openSafetensorsImages`.
 */
export async function openNpyImages(path: string, name: string): Promise<ImageDataset> {
  const [[images], [labels]] = await Promise.all([
    readArrays(join(path, 'images.npy'), ['images']),
    readArrays(join(path, 'labels.npy'), ['labels']),
  ])
  return imageArrays(name, path, images!, labels!)
}

async function readArrays(path: string, names: readonly string[]): Promise<NamedTensor[]> {
  const file = await ArrayFile.open(path)
  try {
    return names.map((name) => {
      const array = file.arrays.get(name)
      if (array === undefined) {
        throw new Error(
          `${path} has no tensor '${name}', only ${[...file.arrays.keys()].join(', ')}`,
        )
      }
      const length = array.shape.reduce((product, extent) => product * extent, 1)
      return { shape: array.shape, data: file.read(array, 0, length) }
    })
  } finally {
    file.close()
  }
}

/**
 * Images and labels in memory as a data set of one split.
 *
 * @param path what errors name.
 * @param images u8 or f32 [N, H, W, C], C = 1 or 3.
 * @param labels i32, i64, u32 or u8 [N].
 * @throws Error naming the path, the array, what came and what was expected.
 */
function imageArrays(
  name: string,
  path: string,
  images: NamedTensor,
  labels: NamedTensor,
): ImageDataset {
  const { data, shape } = images
  const given = `${data.constructor.name} [${shape.join(', ')}]`
  if (!(data instanceof Uint8Array || data instanceof Float32Array) || shape.length !== 4) {
    throw new Error(`${path}: images are ${given}, expected u8 or f32 [N, H, W, C]`)
  }
  const [count, height, width, channels] = shape as [number, number, number, number]
  if (count * height * width === 0 || (channels !== 1 && channels !== 3)) {
    throw new Error(`${path}: images are ${given}, expected at least one, with 1 or 3 channels`)
  }
  const numbers = readLabels(path, labels, count)
  const classes = numbers.reduce((max, label) => Math.max(max, label), 0) + 1
  return {
    name,
    source: path,
    classes,
    classNames: Array.from({ length: classes }, (_, label) => `${label}`),
    size: { height, width },
    channels,
    statistics: data instanceof Uint8Array ? channelStatistics(data, channels) : undefined,
    train: memorySource({ images: data, labels: numbers, count }, { height, width, channels }),
    test: undefined,
  }
}

function readLabels(path: string, { data, shape }: NamedTensor, count: number): Uint32Array {
  const given = `${data.constructor.name} [${shape.join(', ')}]`
  if (data instanceof Float32Array || data instanceof Float64Array) {
    throw new Error(`${path}: labels are ${given}, expected whole numbers`)
  }
  if (shape.length !== 1 || shape[0] !== count) {
    throw new Error(`${path}: labels are ${given}, expected [${count}], as many as the images`)
  }
  return Uint32Array.from(data as ArrayLike<number | bigint>, (value, i) => {
    const label = Number(value)
    if (label >= 0 && label < 2 ** 31) return label
    throw new Error(`${path}: label ${label} at index ${i}, expected 0 to 2^31 - 1`)
  })
}
