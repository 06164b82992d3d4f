/**
 * What a study measured: networks of one architecture, trained on one data set with different
 * objectives, and what each objective did to the features. The report is a function of this object
 * alone, and it survives `JSON.stringify` / `JSON.parse` unchanged.
 *
 * Shares are 0..1, times are seconds. A quantity that cannot be defined (R² of constant features,
 * CKA with a layer whose self-HSIC is not positive) is null, with the reason under `undefined`.
 */
export interface StudyResult {
  /** Heading of the report. */
  title: string
  /** The command line that made this result, as a user would type it. */
  command: string
  versions: { gramgrad: string; node: string; webgpu: string }
  device: {
    adapter: string
    backend: string
    /** True where the adapter is a software driver on the CPU. */
    software: boolean
  }
  /** `train` and `test` count images. */
  dataset: { name: string; train: number; test: number; classes: number }
  model: {
    arch: 'resnet50'
    /** Width multiplier; 1 is the published network. */
    width: number
    /** [height, width, channels] as the network sees an image. */
    input: [number, number, number]
    /** Trainable scalars. */
    parameters: number
  }
  training: {
    /** Passes over the training images; need not be whole. */
    epochs: number
    batch: number
    steps: number
    /** Peak learning rate. */
    lr: number
    momentum: number
    weightDecay: number
    schedule: string
  }
  seed: number
  /** Wall-clock seconds of each phase, such as `train` and `analyse`, in the order they ran. */
  seconds: Record<string, number>
  /** The images that R² and the non-zero share were computed on. */
  analysis?: { split: 'train' | 'test'; examples: number }
  objectives: ObjectiveResult[]
  cka: CkaComparison[]
}

/** One trained network: what its objective reached and what its layers look like. */
export interface ObjectiveResult {
  /** Registry name: `softmax`, `squared-error` ... Unique within a study. */
  name: string
  /** What a reader sees: `Softmax`, `Squared error`. */
  label: string
  hyperparameters: Record<string, number>
  /** Held-out top-1 accuracy, 0..1. */
  top1: number
  /** Mean training loss of the last epoch. Not comparable between objectives. */
  finalLoss: number
  /** Wall-clock seconds of training. */
  seconds: number
  /** Training throughput. */
  imagesPerSecond: number
  /** From input to output; the last one is the penultimate layer of the network (`avgpool`). */
  layers: LayerResult[]
  /** Why a value is null: `{ 'layer4.2.r2': reason }`, the key being `LAYER.QUANTITY`. */
  undefined?: Record<string, string>
  /** One entry a whole epoch, epochs counted from 1. */
  history: EpochResult[]
}

/** What one layer's activations look like, after its ReLU where it ends in one. */
export interface LayerResult {
  /** Torchvision's name: `layer1.0` ... `layer4.2`, `avgpool`. */
  name: string
  /** Activations an image: height x width x channels. */
  features: number
  /** Class separation R² (cosine distance, Kornblith et al. 2021, eq. 11), or null. */
  r2: number | null
  /** Share of activations that are not exactly zero, 0..1. */
  nonZero: number
}

export interface EpochResult {
  epoch: number
  /** Mean training loss. */
  loss: number
  /** Held-out top-1 accuracy after the epoch, 0..1; left out where it was not evaluated. */
  top1?: number
}

/**
 * Linear CKA between every layer of one network and every layer of another. `a` and `b` are names of
 * objectives; they may be equal (two networks from different seeds).
 */
export interface CkaComparison {
  a: string
  b: string
  layersA: string[]
  layersB: string[]
  /** [layersA.length][layersB.length]. The unbiased estimator can fall slightly outside 0..1. */
  matrix: (number | null)[][]
  /** Why a value is null: `{ 'layer4.2/avgpool': reason }`, the key being `LAYER_A/LAYER_B`. */
  undefined?: Record<string, string>
  estimator: 'unbiased' | 'biased'
  /** Images compared. */
  n: number
  /** Minibatches that the HSIC terms were averaged over. */
  batches: number
}
