import { Tape } from '../autograd/tape.ts'
import { Tensor } from '../autograd/tensor.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { HostWindow } from '../gpu/hostWindow.ts'
import { SleepyWait } from '../gpu/sleepyWait.ts'
import type { ResNet } from '../nn/resnet.ts'
import type { ImageInput } from '../train/input.ts'
import type { FeatureNetwork, LayerFeatures } from './featureNetwork.ts'
import { DeviceStore, type FeatureStore, FileStore } from './featureStore.ts'
import { bindingLimit } from './features.ts'
import { ScratchFiles } from './scratchFiles.ts'

/** Arrays of the size of the largest activation that a block may hold at once, those on their way included. */
const ARRAYS_OF_A_BLOCK = 8
/** Images of a forward pass, at most. */
const MOST_IMAGES = 64

/** What features that don't fit into memory pass through, and where they wait. */
interface Way {
  readonly window: HostWindow
  readonly files: ScratchFiles
}

/** Images that a network may compute a layer for at once in some bytes of memory, at least one. */
export function imagesAtOnce(
  model: ResNet,
  [height, width]: readonly [number, number],
  memory: number,
): number {
  const image = 4 * ARRAYS_OF_A_BLOCK * model.largestActivation(height, width)
  return Math.max(1, Math.floor(memory / image))
}

export interface ImageFeaturesOptions {
  /** Rows and columns of the network's input. */
  readonly shape: readonly [number, number, number]
  readonly n: number
  /** Some of the network's layers, in its order; default all. */
  readonly layers?: readonly string[]
  /** The images of some examples. */
  input(rows: Uint32Array): ImageInput
  /** Told of images that went through a layer more. */
  readonly onImages?: (images: number) => void
}

/**
 * A network's layers on images. A minibatch goes through layer by layer, each layer for all of its
 * images before the next: only two layers' features are ever held, on the device where they fit into
 * the memory, else in a temporary file, and no image goes through the network twice.
 */
export class ImageFeatures implements FeatureNetwork {
  readonly layers: FeatureNetwork['layers']
  /** [H, W, C] or [C] of each layer's output. */
  readonly #shapes: readonly (readonly number[])[]

  /** @throws Error when the network has no such layer */
  constructor(
    private readonly gpu: Gpu,
    private readonly model: ResNet,
    private readonly options: ImageFeaturesOptions,
  ) {
    const { layerNames } = model
    const { n, layers = layerNames } = options
    const unknown = layers.find((name) => !layerNames.includes(name))
    if (unknown !== undefined)
      throw new Error(`the network has no layer ${unknown}, expected some of ${layerNames}`)
    this.#shapes = outputShapes(gpu, model, options.shape)
    this.layers = layerNames
      .map((name, i) => ({ name, n, p: sizeOf(this.#shapes[i]!) }))
      .filter(({ name }) => layers.includes(name))
  }

  /** Layers that images go through: up to the last that is asked for. */
  get depth(): number {
    return this.model.layerNames.indexOf(this.layers.at(-1)!.name) + 1
  }

  get bytes(): number {
    const { groups, bufferValues } = this.model.parameters
    return groups.reduce(
      (sum, { values, gradients }) => sum + 4 * (values.length + (gradients?.length ?? 0)),
      4 * bufferValues.length,
    )
  }

  async *minibatch(rows: Uint32Array, memory: number): AsyncGenerator<LayerFeatures> {
    const { gpu, model, layers } = this
    const way = { window: new HostWindow(gpu), files: new ScratchFiles() }
    let before: FeatureStore | undefined
    try {
      before = await this.#images(rows, memory, way)
      for (const [index, name] of model.layerNames.entries()) {
        const after = this.#store(rows.length, sizeOf(this.#shapes[index]!), memory, way)
        try {
          await this.#computeLayer(index, rows.length, before, after, memory)
        } catch (error) {
          after.release()
          throw error
        }
        before.release()
        before = after
        // Layers of one shape find the buffers of the one before.
        if (`${this.#shapes[index]}` !== `${this.#shapes[index + 1]}`) gpu.trim()
        const layer = layers.findIndex((one) => one.name === name)
        if (layer >= 0) yield { layer, features: after.features }
        if (layer === layers.length - 1) break
      }
    } finally {
      before?.release()
      way.window.release()
      way.files.close()
      gpu.trim()
    }
  }

  /** Prepared images of a minibatch. */
  async #images(rows: Uint32Array, memory: number, way: Way): Promise<FeatureStore> {
    const { gpu, options } = this
    const { shape } = options
    const store = this.#store(rows.length, sizeOf(shape), memory, way)
    const input = options.input(rows)
    let first = 0
    try {
      for await (const { labels, write } of input.evaluationBatches(MOST_IMAGES)) {
        const images = gpu.empty('f32', [labels.length, ...shape], 'images')
        await write(images)
        await store.write(first, images)
        images.release()
        await gpu.idle()
        first += labels.length
      }
      if (first < rows.length)
        throw new Error(`${rows.length - first} of ${rows.length} images could not be read`)
      return store
    } catch (error) {
      store.release()
      throw error
    } finally {
      input.release()
      gpu.trim()
    }
  }

  async #computeLayer(
    index: number,
    n: number,
    before: FeatureStore,
    after: FeatureStore,
    memory: number,
  ): Promise<void> {
    const { gpu, model, options } = this
    const [height, width] = options.shape
    const shape = index === 0 ? options.shape : this.#shapes[index - 1]!
    const batch = evenBatch(
      n,
      Math.min(MOST_IMAGES, imagesAtOnce(model, [height, width], memory / 4)),
    )
    const wait = new SleepyWait(gpu)
    for (let first = 0; first < n; first += batch) {
      const count = Math.min(batch, n - first)
      const x = gpu.empty('f32', [count, ...shape], 'layer input')
      await before.read(first, x)
      const tape = new Tape(gpu, false)
      const y = model.layer(tape, index, new Tensor(x), false)
      await wait.idle(count)
      await after.write(first, y.value)
      tape.dispose()
      x.release()
      await gpu.idle()
      options.onImages?.(count)
    }
  }

  #store(n: number, p: number, memory: number, way: Way): FeatureStore {
    const { gpu } = this
    const fits = n * p <= bindingLimit(gpu) && 4 * n * p <= memory / 8
    return fits ? new DeviceStore(gpu, n, p) : new FileStore(way.window, way.files, n, p)
  }
}

/** Size of up to `most` that leaves no smaller rest, for which buffers would be made anew, or `most`. */
function evenBatch(n: number, most: number): number {
  for (let batch = Math.min(n, most); 2 * batch > most; batch--) if (n % batch === 0) return batch
  return most
}

/** Shapes of the layers' outputs for one image. */
function outputShapes(gpu: Gpu, model: ResNet, input: readonly number[]): (readonly number[])[] {
  const image = gpu.zeros('f32', [1, ...input], 'image')
  const tape = new Tape(gpu, false)
  const shapes: (readonly number[])[] = []
  model.penultimate(tape, new Tensor(image), {
    training: false,
    onLayer: (_, { shape }) => shapes.push(shape.slice(1)),
  })
  tape.dispose()
  image.release()
  return shapes
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1)
}
