import path from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import { writeFileWhole } from '../data/files.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { instantiate, type Objective } from '../losses/objective.ts'
import { objectiveNamed, objectives } from '../losses/registry.ts'
import type { TrainConfig } from '../train/config.ts'
import { top1 } from '../train/evaluate.ts'
import { MemoryInput } from '../train/input.ts'
import { type TrainOutcome, type TrainProgress, train } from '../train/trainer.ts'
import { analyse, type NamedModel, someExamples } from './analyse.ts'
import type { EpochResult, ObjectiveResult, StudyResult } from './studyResult.ts'

/** The objectives that the quickstart compares unless told otherwise: the paper's nine. */
export const quickstartObjectives: readonly string[] = [...objectives.keys()]

/**
 * The recipe, found in the PyTorch twin: one at which all nine objectives learn well, small enough for
 * five minutes on two CPU cores.
 */
export const quickstartRecipe = {
  width: 0.125,
  steps: 300,
  batch: 64,
  lr: 0.05,
  schedule: 'cosine',
  momentum: 0.9,
  nesterov: true,
  weightDecay: 8e-5,
} as const satisfies Partial<TrainConfig>

/** Test images that the layers are compared on: more would change the third digit, not the second. */
const MOST_EXAMPLES = 2000

export interface QuickstartOptions {
  readonly dataset: Dataset
  readonly out: string
  /** Names of at least two objectives; the first is what the others are compared with. */
  readonly objectives: readonly string[]
  readonly seed: number
  readonly steps: number
  readonly batch: number
  readonly width: number
  /** The command line, for the report. */
  readonly command: string
  readonly versions: StudyResult['versions']
  readonly signal?: AbortSignal
  readonly onTrain?: (network: StudyNetwork, progress: TrainProgress) => void
  /** Told of test images done: by one network, or by all of them as their layers are compared. */
  readonly onTest?: (network: StudyNetwork | undefined, done: number, total: number) => void
}

/** A network of the study, counted from 1. */
export interface StudyNetwork {
  readonly label: string
  readonly number: number
  readonly of: number
}

/**
 * Trains a narrow ResNet-50 with each objective and compares what their layers hold.
 * Writes a run folder an objective and `result.json` under `out`.
 */
export async function quickstart(gpu: Gpu, options: QuickstartOptions): Promise<StudyResult> {
  const { dataset, out } = options
  const start = performance.now()
  const runs: { objective: Objective; config: TrainConfig; outcome: TrainOutcome; top1: number }[] =
    []
  const chosen = checkedObjectives(options.objectives, dataset.classes)
  for (const [i, objective] of chosen.entries()) {
    const network = { label: objective.label, number: i + 1, of: chosen.length }
    const config = configOf(objective, options)
    const outcome = await train(gpu, dataset, objective, config, path.join(out, objective.name), {
      ...(options.signal ? { signal: options.signal } : {}),
      onProgress: (progress) => options.onTrain?.(network, progress),
    })
    const accuracy = await top1(gpu, outcome.model, dataset, dataset.test, (done) =>
      options.onTest?.(network, done, dataset.test.count),
    )
    runs.push({ objective, config, outcome, top1: accuracy })
  }
  const trained = performance.now()
  const models: NamedModel[] = runs.map(({ objective, outcome }) => ({
    name: objective.name,
    model: outcome.model,
  }))
  const examples = someExamples(dataset.test.count, MOST_EXAMPLES)
  const input = new MemoryInput(gpu, dataset, dataset.test, examples)
  const analysis = await analyse(gpu, input, dataset.classes, models, (done, total) =>
    options.onTest?.(undefined, done, total),
  )
  const analysed = performance.now()
  const [first] = runs
  const result: StudyResult = {
    title: 'What the objective does to the features',
    command: options.command,
    versions: options.versions,
    device: {
      adapter: gpu.profile.driver,
      backend: gpu.profile.backend,
      software: gpu.profile.software,
    },
    dataset: {
      name: dataset.name,
      train: dataset.train.count,
      test: dataset.test.count,
      classes: dataset.classes,
    },
    model: {
      arch: 'resnet50',
      width: options.width,
      input: [...input.shape],
      parameters: first!.outcome.model.parameters.count,
    },
    training: {
      epochs: (options.steps * options.batch) / dataset.train.count,
      batch: options.batch,
      steps: options.steps,
      lr: quickstartRecipe.lr,
      momentum: quickstartRecipe.momentum,
      weightDecay: quickstartRecipe.weightDecay,
      schedule: `linear warm-up over ${first!.config.warmupSteps} steps, then cosine to 0`,
    },
    seed: options.seed,
    seconds: {
      train: runs.reduce((sum, { outcome }) => sum + outcome.seconds, 0),
      test:
        (trained - start) / 1000 -
        runs.reduce((s, r) => s + (r.outcome.reused ? 0 : r.outcome.seconds), 0),
      analyse: (analysed - trained) / 1000,
    },
    analysis: { split: 'test', examples: analysis.examples },
    objectives: runs.map(({ objective, outcome, top1: accuracy }, i) => ({
      name: objective.name,
      label: objective.label,
      hyperparameters: { ...objective.hyperparameters },
      top1: accuracy,
      ...lossesOf(outcome),
      seconds: outcome.seconds,
      imagesPerSecond: outcome.imagesPerSecond,
      layers: analysis.layers[i]!.layers,
      ...(analysis.layers[i]!.undefined ? { undefined: analysis.layers[i]!.undefined } : {}),
    })),
    cka: analysis.cka,
  }
  await writeFileWhole(path.join(out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`)
  for (const { outcome } of runs) outcome.model.parameters.release()
  return result
}

function checkedObjectives(names: readonly string[], classes: number): Objective[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) throw new Error(`objectives name ${twice} twice`)
  if (names.length < 2)
    throw new Error(`objectives are ${names.join(',') || 'none'}, expected at least two to compare`)
  return names.map((name) => instantiate(objectiveNamed(name), classes))
}

function configOf(objective: Objective, options: QuickstartOptions): TrainConfig {
  return {
    ...quickstartRecipe,
    objective: objective.name,
    hyperparameters: objective.hyperparameters,
    dataset: options.dataset.name,
    trainImages: options.dataset.train.count,
    width: options.width,
    seed: options.seed,
    steps: options.steps,
    batch: options.batch,
    warmupSteps: Math.floor(options.steps / 4),
  }
}

function lossesOf({ metrics }: TrainOutcome): Pick<ObjectiveResult, 'finalLoss' | 'history'> {
  const history: EpochResult[] = []
  for (const line of metrics)
    if ('epoch' in line) history.push({ epoch: line.epoch, loss: line.loss })
  const steps = metrics.filter((line) => 'lr' in line)
  const last = steps.slice(-Math.min(steps.length, 125))
  const finalLoss =
    history.at(-1)?.loss ?? last.reduce((sum, { loss }) => sum + loss, 0) / last.length
  return { finalLoss, history }
}
