import { type Dataset, withStatistics } from '../../src/data/dataset.ts'
import { instantiate, type Objective } from '../../src/losses/objective.ts'
import { objectiveNamed } from '../../src/losses/registry.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import type { TrainConfig } from '../../src/train/config.ts'

const CLASSES = 10
const SIDE = 12

/** Grey noise images with labels 0, 1, ..., 9, 0, ... */
export function tinyDataset(count = 20): Dataset {
  const random = new RandomStream(1, streams.synthetic)
  const split = {
    images: Uint8Array.from({ length: count * SIDE * SIDE }, (_, i) => random.integer(i, 256)),
    labels: Uint32Array.from({ length: count }, (_, i) => i % CLASSES),
    count,
  }
  return withStatistics({
    name: 'noise',
    source: 'made up',
    classes: CLASSES,
    classNames: Array.from({ length: CLASSES }, (_, i) => String(i)),
    channels: 1,
    height: SIDE,
    width: SIDE,
    train: split,
    test: split,
  })
}

export function softmaxObjective(): Objective {
  return instantiate(objectiveNamed('softmax'), CLASSES)
}

/** A run on `tinyDataset`: two steps an epoch, 32 x 32 pixels, the narrowest network of use. */
export function tinyConfig(changes: Partial<TrainConfig> = {}): TrainConfig {
  return {
    objective: 'softmax',
    hyperparameters: {},
    dataset: 'noise',
    trainImages: 20,
    width: 1 / 16,
    seed: 1,
    steps: 12,
    batch: 8,
    lr: 0.05,
    schedule: 'cosine',
    warmupSteps: 3,
    momentum: 0.9,
    nesterov: true,
    weightDecay: 1e-4,
    ...changes,
  }
}
