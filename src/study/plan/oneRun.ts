import path from 'node:path'
import { topCount } from '../../analysis/calibration.ts'
import type { AnyDataset, BadImageError, ImageDataset } from '../../data/imageSource.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { ResNet } from '../../nn/resnet.ts'
import type { ImageInput } from '../../train/input.ts'
import { collectLogits, rankedClasses } from '../../train/logits.ts'
import { type ImagePart, runInput } from '../../train/runInput.ts'
import { TrainingInterrupted, type TrainProgress, train } from '../../train/trainer.ts'
import { type TransferResult, transferTo } from '../../transfer/transferTo.ts'
import { someExamples } from '../analyse.ts'
import { analyseLayers } from '../layerAnalysis.ts'
import type { LayerResult } from '../studyResult.ts'
import type { PlannedRun } from './plannedRuns.ts'
import { readStage, stage } from './stage.ts'
import { type Study, transferMetric } from './studyFile.ts'
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
  /** With test images. */
  readonly dataset: AnyDataset
  /** Where the features are tried out, by the name in the study. */
  readonly transfer: ReadonlyMap<string, ImageDataset>
  /** Folder of the study. */
  readonly out: string
}

export interface RunHooks {
  readonly signal?: AbortSignal
  readonly onTrain?: (run: PlannedRun, progress: TrainProgress) => void
  readonly onPhase?: (phase: string, done: number, total: number) => void
  /** Told of each file that gives no image, each time that it is met. */
  readonly onProblem?: (problem: BadImageError) => void
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

function evaluationStage(data: StudyData, run: PlannedRun): StageOf<RunEvaluation> {
  return {
    file: path.join(runFolderOf(data.out, run), 'evaluation.json'),
    inputs: { config: run.config, top5: true },
    compute: (gpu, model, hooks) =>
      withImages(gpu, data, run, { split: 'test' }, hooks, async (input) => {
        const { onPhase = () => {} } = hooks
        const found = await collectLogits(gpu, model, input, (done) =>
          onPhase(`Testing ${run.id}`, done, input.count),
        )
        const { scores, labels, classes } = rankedClasses(run.objective, found)
        if (labels.length === 0) throw new Error('none of the test images could be read')
        const share = (k: number) => topCount(scores, labels, classes, k) / labels.length
        return {
          top1: share(1),
          top5: classes > 5 ? share(5) : null,
          input: input.shape,
          parameters: model.parameters.count,
        }
      }),
  }
}

function layersStage(data: StudyData, run: PlannedRun): StageOf<RunLayers> {
  const { study, dataset, out } = data
  const { images, split } = study.analysis
  return {
    file: path.join(runFolderOf(out, run), 'layers.json'),
    inputs: { config: run.config, images, split },
    compute: (gpu, model, hooks) => {
      const examples = someExamples(dataset[split]!.count, images)
      const part = { split, ...(examples ? { examples } : {}) }
      return withImages(gpu, data, run, part, hooks, (input) =>
        analyseLayers(gpu, input, dataset.classes, { name: run.id, model }, (done, total) =>
          hooks.onPhase?.(`Layers of ${run.id}`, done, total),
        ),
      )
    },
  }
}

/** Opens images of the study's data set as a run has them, for as long as `body` needs them. */
async function withImages<T>(
  gpu: Gpu,
  { dataset }: StudyData,
  { config }: PlannedRun,
  part: ImagePart,
  { onProblem }: RunHooks,
  body: (input: ImageInput) => Promise<T>,
): Promise<T> {
  const input = runInput(gpu, dataset, part, config, onProblem)
  try {
    return await body(input)
  } finally {
    input.release()
  }
}

function transferStage(
  { study, transfer, out }: StudyData,
  run: PlannedRun,
  name: string,
): StageOf<TransferResult> {
  const { datasets: _, metrics, ...common } = study.transfer
  const settings = { ...common, metric: transferMetric(study, name) }
  const dataset = transfer.get(name)!
  const { train, test, validation } = dataset
  const counts = [train.count, test?.count, ...(validation ? [validation.count] : [])]
  return {
    file: path.join(runFolderOf(out, run), `transfer-${fileName(name)}.json`),
    inputs: { config: run.config, name, counts, ...settings },
    compute: (gpu, model, { onPhase = () => {}, onProblem }) =>
      transferTo(gpu, model, run.config, dataset, {
        ...settings,
        onProblem,
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
  const { signal, onTrain, onProblem } = hooks
  const { trajectory, images } = study.analysis
  const { model, steps } = await train(
    gpu,
    dataset,
    run.objective,
    run.config,
    runFolderOf(out, run),
    {
      ...(signal ? { signal } : {}),
      ...(trajectory > 0
        ? {
            onEpoch: separationEvery(trajectory, gpu, dataset, run.config, images, onProblem),
          }
        : {}),
      ...(onProblem ? { onProblem } : {}),
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
