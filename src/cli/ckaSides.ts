import { statSync } from 'node:fs'
import { type FeatureNetwork, storedNetwork } from '../analysis/featureNetwork.ts'
import { ImageFeatures, imagesAtOnce } from '../analysis/imageFeatures.ts'
import { type ImageDataset, subset } from '../data/imageSource.ts'
import { openImageDataset } from '../data/registry.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import { imageInput } from '../train/decodedInput.ts'
import { initialNetwork } from '../train/initialNetwork.ts'
import { type LoadedRun, loadRun } from '../train/loadRun.ts'
import { FeatureFile } from './featureFiles.ts'
import type { Progress } from './progress.ts'

/** What says which images networks are compared on. */
export interface ImageChoice {
  readonly input?: string
  readonly split: 'test' | 'train'
  readonly images?: number
  readonly momentImages?: number
  readonly epochs: number
  readonly memory: number
}

/** One of the two things that are compared. */
export interface CkaSide {
  readonly network: FeatureNetwork
  close(): void
}

function isRunFolder(path: string): boolean {
  return !!statSync(path, { throwIfNoEntry: false })?.isDirectory()
}

/** Opens files of features and runs; runs that look at the same data set share it. */
export class CkaSides {
  readonly #datasets = new Map<string, ImageDataset>()
  /** The data set of the first run, with the run. */
  #first: { readonly name: string; readonly run: string } | undefined

  constructor(
    private readonly gpu: Gpu,
    private readonly progress: Progress,
    private readonly choice: ImageChoice,
  ) {}

  /**
   * @param layers some of its layers; default all
   * @param initial whether a run's network is taken as training began with it
   * @throws Error naming the file or run, and what does not fit
   */
  async open(path: string, layers?: readonly string[], initial = false): Promise<CkaSide> {
    if (isRunFolder(path)) return this.#openRun(path, layers, initial)
    if (initial) throw new Error(`${path} is no run folder: --initial needs one`)
    // A .npy file's one array has a name of its own.
    const file = await FeatureFile.open(path, path.endsWith('.npy') ? undefined : layers)
    return { network: storedNetwork(file.layers), close: () => file.close() }
  }

  async #openRun(
    folder: string,
    layers: readonly string[] | undefined,
    initial: boolean,
  ): Promise<CkaSide> {
    const { gpu, progress, choice } = this
    const run = await loadRun(gpu, folder)
    const model = initial ? await this.#initial(folder, run) : lean(gpu, run.model)
    await gpu.idle()
    run.model.parameters.release()
    gpu.trim()
    const dataset = await this.#images(folder, run)
    const source = choice.split === 'test' ? (dataset.test ?? dataset.train) : dataset.train
    const n = Math.min(choice.images ?? source.count, source.count)
    const input = (rows: Uint32Array) =>
      imageInput(gpu, dataset, subset(source, rows), run.config, ({ message }) =>
        progress.say(message),
      )
    const probe = input(new Uint32Array(1))
    const { shape } = probe
    probe.release()
    const task = progress.task(`Features of ${folder}`, 1, '')
    let done = 0
    try {
      const network: ImageFeatures = new ImageFeatures(gpu, model, {
        shape,
        n,
        input,
        ...(layers ? { layers } : {}),
        onImages: (images) => {
          done += images
          task.update(done, undefined, choice.epochs * n * network.depth)
        },
      })
      return { network, close: () => model.parameters.release() }
    } catch (error) {
      throw new Error(`${folder}: ${(error as Error).message}`)
    }
  }

  async #initial(folder: string, run: LoadedRun): Promise<ResNet> {
    const { gpu, progress, choice } = this
    const dataset = await this.#dataset(run.config.dataset)
    const { train } = dataset
    const count = Math.min(train.count, choice.momentImages ?? train.count)
    const some = subset(
      train,
      Uint32Array.from({ length: count }, (_, i) => Math.floor((i * train.count) / count)),
    )
    const task = progress.task(`Batch-norm moments of ${folder}`, count, 'images')
    const images = () =>
      imageInput(gpu, dataset, some, run.config, ({ message }) => progress.say(message))
    const probe = images()
    const [height, width] = probe.shape
    probe.release()
    // Half of the memory: weights and gradients take of it too.
    const fits = imagesAtOnce(run.model, [height, width], choice.memory / 2)
    const model = await initialNetwork(gpu, run, images, {
      batch: Math.min(run.config.microBatch, fits),
      onImages: (done) => task.update(done),
    })
    task.end()
    const copy = lean(gpu, model)
    await gpu.idle()
    model.parameters.release()
    gpu.trim()
    return copy
  }

  /** The data set that networks are compared on. */
  #images(run: string, { config }: LoadedRun): Promise<ImageDataset> {
    const name = this.choice.input ?? config.dataset
    this.#first ??= { name, run }
    if (this.#first.name !== name)
      throw new Error(
        `${run} was trained on ${name}, but ${this.#first.run} on ${this.#first.name}: expected --input with the images to compare them on`,
      )
    return this.#dataset(name)
  }

  async #dataset(name: string): Promise<ImageDataset> {
    const known = this.#datasets.get(name)
    if (known) return known
    const dataset = await openImageDataset(name)
    this.#datasets.set(name, dataset)
    return dataset
  }
}

/** An equal network without gradients, which take as much memory as the weights. */
function lean(gpu: Gpu, model: ResNet): ResNet {
  const copy = model.withoutMemory()
  copy.parameters.allocateCopy(gpu, model.parameters)
  return copy
}
