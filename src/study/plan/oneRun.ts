import path from 'node:path'
import { topCount } from '../../analysis/calibration.ts'
import type { Dataset } from '../../data/dataset.ts'
import type { ImageDataset } from '../../data/imageSource.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import { MemoryInput } from '../../train/input.ts'
import { collectLogits } from '../../train/logits.ts'
import { TrainingInterrupted, type TrainProgress, train } from '../../train/trainer.ts'
import { type TransferResult, transferTo } from '../../transfer/transferTo.ts'
import { analyse } from '../analyse.ts'
import type { LayerResult } from '../studyResult.ts'
import type { PlannedRun } from './plannedRuns.ts'
import { readStage, stage } from './stage.ts'
import type { Study } from './studyFile.ts'
import { separationEvery } from './trajectory.ts'

/** How well a network does what it was trained for. */
export interface RunEvaluation {
  /** On the test images, 0..1; top-5 is null where there are five classes or fewer. */
  readonly top1: number
  readonly top5: number | null
  /** [height, width, channels] as the network sees an image. */
  readonly input: readonly [number, number, number]
  /** Trainable values. */
  readonly parameters: number
}

/** What every layer makes of the images. */
export interface RunLayers {
  readonly layers: readonly LayerResult[]
  /** Why a value of a layer is null, by `LAYER.QUANTITY`. */
  readonly undefined?: Readonly<Record<string, string>>
  /** Images that were looked at. */
  readonly examples: number
}

/** Everything a study computes on. */
export interface StudyData {
  readonly study: Study
  readonly dataset: Dataset
  /** Where the features are tried out, by the name in the study. */
  readonly transfer: ReadonlyMap<string, ImageDataset>
  /** Folder of the study. */
  readonly out: string
}

export interface RunHooks {
  readonly signal?: AbortSignal
  readonly onTrain?: (run: PlannedRun, progress: TrainProgress) => void
  readonly onPhase?: (phase: string, done: number, total: number) => void
}

/** Where a run's files lie. */
export function runFolderOf(out: string, run: PlannedRun): string {
  return path.join(out, 'runs', run.id)
}

/** A result of a run that is computed once and kept in its folder. */
interface StageOf<T> {
  readonly file: string
  /** All that it depends on. */
  readonly inputs: unknown
  /** @param model the run's network */
  readonly compute: (gpu: Gpu, model: ResNet, hooks: RunHooks) => Promise<T>
}

function evaluationStage({ dataset, out }: StudyData, run: PlannedRun): StageOf<RunEvaluation> {
  return {
    file: path.join(runFolderOf(out, run), 'evaluation.json'),
    inputs: { config: run.config, top5: true },
    async compute(gpu, model, { onPhase = () => {} }) {
      const input = new MemoryInput(gpu, dataset, dataset.test)
      const { logits, labels } = await collectLogits(gpu, model, input, (done) =>
        onPhase(`Testing ${run.id}`, done, input.count),
      )
      const share = (k: number) => topCount(logits, labels, model.classes, k) / labels.length
      return {
        top1: share(1),
        top5: model.classes > 5 ? share(5) : null,
        input: input.shape,
        parameters: model.parameters.count,
      }
    },
  }
}

function layersStage({ study, dataset, out }: StudyData, run: PlannedRun): StageOf<RunLayers> {
  const { images, split } = study.analysis
  return {
    file: path.join(runFolderOf(out, run), 'layers.json'),
    inputs: { config: run.config, images, split },
    async compute(gpu, model, { onPhase = () => {} }) {
      const { layers, examples } = await analyse(
        gpu,
        dataset,
        [{ name: run.id, model }],
        (done, total) => onPhase(`Layers of ${run.id}`, done, total),
        { most: images, split },
      )
      return { ...layers[0]!, examples }
    },
  }
}

function transferStage(
  { study, transfer, out }: StudyData,
  run: PlannedRun,
  name: string,
): StageOf<TransferResult> {
  const { datasets: _, ...settings } = study.transfer
  const dataset = transfer.get(name)!
  const counts = [dataset.train.count, dataset.test?.count]
  return {
    file: path.join(runFolderOf(out, run), `transfer-${fileName(name)}.json`),
    inputs: { config: run.config, name, counts, ...settings },
    compute: (gpu, model, { onPhase = () => {} }) =>
      transferTo(gpu, model, run.config, dataset, {
        ...settings,
        onImages: (done, total) => onPhase(`Transfer of ${run.id} to ${name}`, done, total),
      }),
  }
}

/** A data set's name as part of a file's name; different names stay different. */
function fileName(name: string): string {
  return encodeURIComponent(name)
}

/** What a run's folder holds when it is finished. */
export interface RunResults {
  readonly evaluation: RunEvaluation
  readonly layers: RunLayers
  readonly transfer: Readonly<Record<string, TransferResult>>
}

/** A run's results where all are there, for this configuration. */
export async function finishedRun(
  data: StudyData,
  run: PlannedRun,
): Promise<RunResults | undefined> {
  const read = <T>({ file, inputs }: StageOf<T>) => readStage<T>(file, inputs)
  const evaluation = await read(evaluationStage(data, run))
  const layers = evaluation && (await read(layersStage(data, run)))
  if (!layers) return undefined
  const transfer: Record<string, TransferResult> = {}
  for (const name of data.transfer.keys()) {
    const found = await read(transferStage(data, run, name))
    if (!found) return undefined
    transfer[name] = found
  }
  return { evaluation, layers, transfer }
}

/**
 * Trains a run's network, tests it, looks at its layers and tries its features on the transfer sets;
 * goes on with what its folder holds.
 *
 * @throws TrainingInterrupted when the signal aborts
 */
export async function takeRun(
  gpu: Gpu,
  data: StudyData,
  run: PlannedRun,
  hooks: RunHooks,
): Promise<void> {
  const { study, dataset, out } = data
  const { signal, onTrain } = hooks
  const { trajectory, images } = study.analysis
  const { model, steps } = await train(
    gpu,
    dataset,
    run.objective,
    run.config,
    runFolderOf(out, run),
    {
      ...(signal ? { signal } : {}),
      ...(trajectory > 0 ? { onEpoch: separationEvery(trajectory, gpu, dataset, images) } : {}),
      onProgress: (progress) => onTrain?.(run, progress),
    },
  )
  try {
    const stages: StageOf<unknown>[] = [
      evaluationStage(data, run),
      layersStage(data, run),
      ...[...data.transfer.keys()].map((name) => transferStage(data, run, name)),
    ]
    for (const { file, inputs, compute } of stages) {
      if (signal?.aborted) throw new TrainingInterrupted(steps)
      await stage(file, inputs, () => compute(gpu, model, hooks))
    }
  } finally {
    model.parameters.release()
  }
}
