import { statSync } from 'node:fs'
import type { ImageDataset, ImageSource } from '../data/imageSource.ts'
import { openImageDataset } from '../data/registry.ts'
import { readSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { type LoadedRun, loadRun } from '../train/loadRun.ts'
import type { LabelledFeatures } from '../transfer/labelledFeatures.ts'
import { penultimateFeatures } from '../transfer/runFeatures.ts'
import { transferInput } from '../transfer/transferInput.ts'
import type { Progress } from './progress.ts'

/** Features to learn from and to test on. */
export type TransferSets = readonly [train: LabelledFeatures, test: LabelledFeatures]

/**
 * The features that `transfer` was asked for: those of a run's network on two data sets where
 * `source` is a folder, else two files.
 *
 * @param source a run folder, or the training features where `train` is not given
 * @throws Error on what is missing or given twice, and as the readers
 */
export async function readSets(
  gpu: Gpu,
  progress: Progress,
  source: string | undefined,
  train: string | undefined,
  test: string,
): Promise<TransferSets> {
  if (source !== undefined && statSync(source, { throwIfNoEntry: false })?.isDirectory()) {
    if (train === undefined)
      throw new Error(`${source} is a run: expected --train with a data set to learn from`)
    return runSets(gpu, progress, source, train, test)
  }
  const file = train ?? source
  if (file === undefined || (source !== undefined && train !== undefined))
    throw new Error(
      `training features are given ${file === undefined ? 'nowhere' : 'twice'}, expected --train F.safetensors, or a run folder and data sets`,
    )
  return [await readFeatures(file), await readFeatures(test)]
}

async function runSets(
  gpu: Gpu,
  progress: Progress,
  folder: string,
  train: string,
  test: string,
): Promise<TransferSets> {
  const [from, to] = [await openImageDataset(train), await openImageDataset(test)]
  if (train === test && !to.test)
    throw new Error(`${test} has one split only, expected another data set for --test`)
  const run = await loadRun(gpu, folder)
  const learnt = await featuresOf(gpu, progress, run, from, from.train, `train of ${train}`)
  const held = await featuresOf(gpu, progress, run, to, to.test ?? to.train, `test of ${test}`)
  run.model.parameters.release()
  return [learnt, held]
}

async function featuresOf(
  gpu: Gpu,
  progress: Progress,
  { model, config }: LoadedRun,
  dataset: ImageDataset,
  source: ImageSource,
  name: string,
): Promise<LabelledFeatures> {
  const input = transferInput(gpu, dataset, source, config, {
    onProblem: (problem) => progress.say(problem.message),
  })
  const task = progress.task(`Features, ${name}`, input.count, 'images')
  try {
    return await penultimateFeatures(gpu, model, input, name, (done) => task.update(done))
  } finally {
    task.end()
    input.release()
  }
}

/** A .safetensors file's features, flattened to [n, p], and labels. */
async function readFeatures(path: string): Promise<LabelledFeatures> {
  const { tensors } = await readSafetensors(path)
  const features = tensors.get('features')
  const labels = tensors.get('labels')
  if (!features || !labels)
    throw new Error(
      `${path} has no ${features ? 'labels' : 'features'}, expected features and labels`,
    )
  const { data, shape } = features
  if (!(data instanceof Float32Array || data instanceof Float64Array) || shape.length < 2)
    throw new Error(
      `${path}: features are ${data.constructor.name} [${shape}], expected F32 or F64 [n, p]`,
    )
  if (labels.data instanceof Float32Array || labels.data instanceof Float64Array)
    throw new Error(`${path}: labels are ${labels.data.constructor.name}, expected integers`)
  if (labels.shape.length !== 1 || labels.shape[0] !== shape[0])
    throw new Error(`${path}: labels are [${labels.shape}], expected [${shape[0]}]`)
  const numbers = Array.from(labels.data as ArrayLike<number | bigint>, Number)
  const bad = numbers.findIndex((label) => !(label >= 0 && label < 2 ** 20))
  if (bad >= 0)
    throw new Error(`${path}: label ${bad} is ${numbers[bad]}, expected 0 to ${2 ** 20 - 1}`)
  return {
    name: path,
    features: Float32Array.from(data),
    labels: Uint32Array.from(numbers),
    width: shape.slice(1).reduce((a, b) => a * b, 1),
  }
}
