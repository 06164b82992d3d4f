import path from 'node:path'
import type { Dataset } from '../../data/dataset.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { top1 } from '../../train/evaluate.ts'
import { type TrainProgress, train } from '../../train/trainer.ts'
import { analyse } from '../analyse.ts'
import type { LayerResult } from '../studyResult.ts'
import type { PlannedRun } from './plannedRuns.ts'
import { readStage, stage } from './stage.ts'
import type { Study } from './studyFile.ts'

/** What the study's own data set says of a trained network. */
export interface RunEvaluation {
  /** On the test images, 0..1. */
  readonly top1: number
  readonly layers: readonly LayerResult[]
  /** Why a value of a layer is null, by `LAYER.QUANTITY`. */
  readonly undefined?: Readonly<Record<string, string>>
  /** [height, width, channels] as the network sees an image. */
  readonly input: readonly [number, number, number]
  /** Trainable values. */
  readonly parameters: number
  /** Test images that the layers were looked at on. */
  readonly examples: number
}

export interface RunHooks {
  readonly signal?: AbortSignal
  readonly onTrain?: (run: PlannedRun, progress: TrainProgress) => void
  readonly onPhase?: (phase: string, done: number, total: number) => void
}

/** Where a run's files lie. */
function runFolderOf(out: string, run: PlannedRun): string {
  return path.join(out, 'runs', run.id)
}

const EVALUATION = 'evaluation.json'

function evaluationInputs({ config }: PlannedRun, study: Study) {
  return { config, images: study.analysis.images }
}

/** A run's evaluation where it is finished, with this configuration. */
export function finishedEvaluation(
  out: string,
  run: PlannedRun,
  study: Study,
): Promise<RunEvaluation | undefined> {
  const file = path.join(runFolderOf(out, run), EVALUATION)
  return readStage<RunEvaluation>(file, evaluationInputs(run, study))
}

/**
 * Trains a run's network and looks at what its layers make of the test images; goes on with what
 * its folder holds.
 *
 * @throws TrainingInterrupted when the signal aborts
 */
export async function takeRun(
  gpu: Gpu,
  dataset: Dataset,
  study: Study,
  run: PlannedRun,
  out: string,
  hooks: RunHooks,
): Promise<void> {
  const { objective, config } = run
  const folder = runFolderOf(out, run)
  const { signal, onTrain, onPhase = () => {} } = hooks
  const { model } = await train(gpu, dataset, objective, config, folder, {
    ...(signal ? { signal } : {}),
    onProgress: (progress) => onTrain?.(run, progress),
  })
  try {
    await stage(path.join(folder, EVALUATION), evaluationInputs(run, study), async () => {
      const accuracy = await top1(gpu, model, dataset, dataset.test, (done) =>
        onPhase(`Testing ${run.id}`, done, dataset.test.count),
      )
      const models = [{ name: run.id, model }]
      const found = await analyse(
        gpu,
        dataset,
        models,
        (done, total) => onPhase(`Layers of ${run.id}`, done, total),
        study.analysis.images,
      )
      const evaluation: RunEvaluation = {
        top1: accuracy,
        ...found.layers[0]!,
        input: found.input,
        parameters: model.parameters.count,
        examples: found.examples,
      }
      return evaluation
    })
  } finally {
    model.parameters.release()
  }
}
