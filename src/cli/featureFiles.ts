import { ArrayFile } from '../data/arrayFile.ts'
import { FeatureArray } from '../data/featureArray.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'

/** Values of a batch of rows of all layers together, at most: 64 MiB. */
const BATCH_VALUES = 2 ** 24
const BATCH_ROWS = 1024

/** The feature arrays of a file, in the order asked for or in that of the file. */
export class FeatureFile {
  private constructor(
    readonly file: ArrayFile,
    readonly layers: readonly FeatureArray[],
  ) {}

  /**
   * Opens a .npy file, or a .safetensors file with the layers asked for; without names, with all
   * arrays of floats that have two axes or more.
   *
   * @throws Error naming the file and the array that is missing or does not fit
   */
  static async open(path: string, names?: readonly string[]): Promise<FeatureFile> {
    const file = await ArrayFile.open(path)
    try {
      return new FeatureFile(file, chooseLayers(file, names))
    } catch (error) {
      file.close()
      throw error
    }
  }

  /** Examples, the same in all layers. @throws Error naming the file and the layer that differs */
  get examples(): number {
    const [first, ...rest] = this.layers
    for (const layer of rest)
      if (layer.n !== first!.n)
        throw new Error(
          `${layer.title} has ${layer.n} examples, but ${first!.name} has ${first!.n} of them`,
        )
    return first!.n
  }

  /**
   * Brings all rows to the device in batches, in order, and calls `body` with each.
   *
   * @param body gets the features of each layer [rows, p] and the number of the first row
   */
  async forEachBatch(
    gpu: Gpu,
    body: (features: GpuArray<'f32'>[], first: number, count: number) => void | Promise<void>,
    onRows: (done: number) => void = () => {},
  ): Promise<void> {
    const n = this.examples
    const width = this.layers.reduce((sum, { p }) => sum + p, 0)
    const most = Math.max(1, Math.min(BATCH_ROWS, Math.floor(BATCH_VALUES / width)))
    for (let first = 0; first < n; first += most) {
      const count = Math.min(most, n - first)
      const rows = Uint32Array.from({ length: count }, (_, i) => first + i)
      const features = this.layers.map((layer) =>
        gpu.upload('f32', [count, layer.p], layer.read(rows, 0, layer.p), layer.name),
      )
      await body(features, first, count)
      for (const array of features) array.release()
      await gpu.idle()
      onRows(first + count)
    }
  }

  /** The file's one layer. @throws Error where it has several, naming the option that chooses */
  onlyLayer(option: string): FeatureArray {
    const [layer, ...more] = this.layers
    if (more.length > 0)
      throw new Error(
        `${this.file.path} has ${this.layers.length} layers, expected ${option} with one of ${this.layers.map(({ name }) => name).join(', ')}`,
      )
    return layer!
  }

  /** The same file with one of its layers. */
  only(index: number): FeatureFile {
    return new FeatureFile(this.file, [this.layers[index]!])
  }

  close(): void {
    this.file.close()
  }
}

/** A matrix of a file on the host. */
export interface FileMatrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float32Array
}

/**
 * A matrix [rows, columns] of a .npy file, or `weight` or `fc.weight` of a .safetensors file.
 *
 * @param columns how many there must be, if that is known
 * @throws Error naming the file and what does not fit
 */
export async function readMatrix(path: string, columns?: number): Promise<FileMatrix> {
  const file = await ArrayFile.open(path)
  try {
    const array = path.endsWith('.npy')
      ? [...file.arrays.values()][0]
      : (file.arrays.get('fc.weight') ?? file.arrays.get('weight'))
    if (!array) throw new Error(`${path} has neither fc.weight nor weight`)
    const matrix = new FeatureArray(file, array)
    if (array.shape.length !== 2 || (columns !== undefined && matrix.p !== columns))
      throw new Error(
        `${matrix.title} is [${array.shape.join(', ')}], expected [classes, ${columns ?? 'features'}]`,
      )
    const rows = Uint32Array.from({ length: matrix.n }, (_, i) => i)
    return { rows: matrix.n, columns: matrix.p, values: matrix.read(rows, 0, matrix.p) }
  } finally {
    file.close()
  }
}

function chooseLayers(file: ArrayFile, names?: readonly string[]): FeatureArray[] {
  const { path, arrays } = file
  const have = [...arrays.keys()]
  if (names)
    return names.map((name) => {
      const array = arrays.get(name)
      if (!array)
        throw new Error(`${path} has no layer ${name}, expected one of ${have.join(', ')}`)
      return new FeatureArray(file, array)
    })
  if (path.endsWith('.npy'))
    return [...arrays.values()].map((array) => new FeatureArray(file, array))
  const layers = [...arrays.values()]
    .filter(({ dtype, shape }) => dtype.startsWith('F') && shape.length >= 2)
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  if (layers.length === 0)
    throw new Error(
      `${path} has no features: none of ${have.join(', ') || 'its 0 arrays'} is [n, p] or [n, ..., p] of floats`,
    )
  return layers.map((array) => new FeatureArray(file, array))
}

/** One label an example. */
export interface LabelArray {
  readonly labels: Uint32Array
  /** One more than the highest label. */
  readonly classes: number
}

/**
 * Labels [n] of a .npy file, or `labels` of a .safetensors file.
 *
 * @param n examples that there must be
 * @throws Error naming the file, and the label that is no integer of at least 0
 */
export async function readLabels(path: string, n: number): Promise<LabelArray> {
  const file = await ArrayFile.open(path)
  try {
    const array = path.endsWith('.npy') ? [...file.arrays.values()][0] : file.arrays.get('labels')
    if (!array)
      throw new Error(
        `${path} has no labels, expected an array of that name beside ${[...file.arrays.keys()].join(', ')}`,
      )
    const { shape, dtype } = array
    if (shape.length !== 1 || shape[0] !== n)
      throw new Error(`${path}: labels are [${shape.join(', ')}], expected [${n}]`)
    if (dtype.startsWith('F')) throw new Error(`${path}: labels are ${dtype}, expected integers`)
    const values = Array.from(file.read(array, 0, n), Number)
    const wrong = values.findIndex((label) => label < 0 || label >= 65534)
    if (wrong >= 0)
      throw new Error(
        `${path}: label ${wrong} is ${values[wrong]}, expected an integer from 0 to 65533`,
      )
    return { labels: Uint32Array.from(values), classes: Math.max(...values) + 1 }
  } finally {
    file.close()
  }
}
