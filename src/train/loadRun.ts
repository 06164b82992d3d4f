import { existsSync } from 'node:fs'
import { readSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { instantiate, type Objective, type ObjectiveOptions } from '../losses/objective.ts'
import { objectiveNamed } from '../losses/registry.ts'
import type { ResNet } from '../nn/resnet.ts'
import { loadStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { checkpointSteps, readCheckpointWeights } from './checkpoint.ts'
import type { CompleteConfig } from './config.ts'
import { networkOf } from './network.ts'
import { RunFolder, WEIGHTS } from './runFolder.ts'

/** A run as it was left: what it was asked for and what came out. */
export interface LoadedRun {
  readonly config: CompleteConfig
  readonly objective: Objective
  /** With the final weights, or those of the newest checkpoint where the run has not finished. */
  readonly model: ResNet
  /** Training steps behind the weights. */
  readonly step: number
}

/**
 * Loads a run's network.
 *
 * @param background whether class 0 of the weights is a background class, though the run does not say so
 *
 * @throws Error naming the folder where it holds no run or no weights yet, or the file that does not
 *   fit the configuration
 */
export async function loadRun(
  gpu: Gpu,
  runFolder: string,
  { background = false }: Pick<ObjectiveOptions, 'background'> = {},
): Promise<LoadedRun> {
  const folder = new RunFolder(runFolder)
  const config = await folder.readConfig()
  if (!config) throw new Error(`${runFolder} holds no run: there is no config.toml`)
  const { weights, step, file } = await newestWeights(folder)
  const classes = weights.get('fc.bias')?.shape[0]
  if (!classes) throw new Error(`${file} has no tensor fc.bias`)
  const { hyperparameters, variant } = config
  const definition = objectiveNamed(config.objective)
  const objective = instantiate(definition, classes, hyperparameters, {
    variant,
    background: background || config.background,
  })
  const model = networkOf(config, classes, objective)
  model.parameters.allocate(gpu, 0)
  try {
    loadStateDict(gpu, model.parameters, weights)
  } catch (error) {
    model.parameters.release()
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  return { config, objective, model, step }
}

async function newestWeights(folder: RunFolder) {
  const file = folder.file(WEIGHTS)
  if (existsSync(file)) {
    const { tensors, metadata } = await readSafetensors(file)
    const weights = tensors as ReadonlyMap<string, StoredTensor>
    return { weights, step: Number(metadata.step ?? 0), file }
  }
  const step = (await checkpointSteps(folder.folder)).at(-1)
  if (step === undefined) throw new Error(`${folder.folder} holds a run that has no weights yet`)
  const weights = await readCheckpointWeights(folder.folder, step)
  return { weights, step, file: folder.file(`checkpoints (step ${step})`) }
}
