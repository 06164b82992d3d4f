import { existsSync } from 'node:fs'
import { lockFolder } from '../data/folderLock.ts'
import type { AnyDataset } from '../data/imageSource.ts'
import { readSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { Objective } from '../losses/objective.ts'
import type { ResNet } from '../nn/resnet.ts'
import { loadStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { type CompleteConfig, checkConfig, completeConfig, type TrainConfig } from './config.ts'
import { holdOut, type ImageInput } from './input.ts'
import { networkOf } from './network.ts'
import type { TrainHooks, TrainOutcome } from './outcome.ts'
import { RunFolder, WEIGHTS } from './runFolder.ts'
import { runInput } from './runInput.ts'
import { takeSteps } from './session.ts'

export type { TrainHooks, TrainOutcome, TrainProgress } from './outcome.ts'
export { TrainingInterrupted } from './outcome.ts'

/**
 * Trains a network in a run folder, or goes on with what the folder holds: bit for bit as if it had
 * never stopped.
 *
 * @throws TrainingInterrupted when the signal aborts
 * @throws Error on an option out of range, a data set that does not fit, or a folder that is not
 *   writable or in use by another process, before anything is computed; and on a loss that is no
 *   longer finite
 */
export async function train(
  gpu: Gpu,
  dataset: AnyDataset,
  objective: Objective,
  given: TrainConfig,
  runFolder: string,
  hooks: TrainHooks = {},
): Promise<TrainOutcome> {
  const config = completeConfig(given)
  checkConfig(config, dataset.train.count)
  const { input, heldOut } = inputsOf(gpu, dataset, config, hooks.onProblem)
  const model = networkOf(config, dataset.classes, objective)
  const folder = new RunFolder(runFolder)
  await folder.readConfig()
  await folder.create()
  const unlock = await lockFolder(runFolder)
  try {
    const resumes = await folder.prepare(config)
    model.parameters.allocate(gpu, config.seed)
    const last = Math.min(config.steps, config.maxSteps ?? config.steps)
    const finished = resumes ? await loadFinished(gpu, folder, model, last) : undefined
    if (finished) return { model, metrics: await folder.metrics(finished.steps), ...finished }
    const run = { input, heldOut, objective, config, folder, model, hooks, last }
    return { model, ...(await takeSteps(gpu, run)), reused: false }
  } catch (error) {
    model.parameters.release()
    throw error
  } finally {
    input.release()
    heldOut?.release()
    await unlock()
  }
}

/** Images to train on and those held out. */
function inputsOf(
  gpu: Gpu,
  dataset: AnyDataset,
  config: CompleteConfig,
  onProblem: TrainHooks['onProblem'],
): { input: ImageInput; heldOut: ImageInput | undefined } {
  const of = (examples?: Uint32Array) =>
    runInput(gpu, dataset, { split: 'train', ...(examples ? { examples } : {}) }, config, onProblem)
  if (config.holdOut === 0) return { input: of(), heldOut: undefined }
  const held = holdOut(dataset.train.count, config.holdOut, config.seed)
  return { input: of(held.kept), heldOut: of(held.heldOut) }
}

/** Loads the final weights where the run has come as far as `last` or stopped early. */
async function loadFinished(
  gpu: Gpu,
  folder: RunFolder,
  model: ResNet,
  last: number,
): Promise<Omit<TrainOutcome, 'model' | 'metrics'> | undefined> {
  const file = folder.file(WEIGHTS)
  if (!existsSync(file)) return undefined
  const { tensors, metadata } = await readSafetensors(file)
  const steps = Number(metadata.step ?? last)
  if (steps < last && metadata.stoppedEarly !== 'true') return undefined
  try {
    loadStateDict(gpu, model.parameters, tensors as ReadonlyMap<string, StoredTensor>)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  const { seconds, imagesPerSecond } = metadata
  return {
    steps,
    seconds: Number(seconds),
    imagesPerSecond: Number(imagesPerSecond),
    reused: true,
  }
}
