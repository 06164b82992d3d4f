import { type AnyDataset, isInMemory } from '../../data/imageSource.ts'
import { instantiate, type Objective } from '../../losses/objective.ts'
import { objectiveNamed } from '../../losses/registry.ts'
import {
  type CompleteConfig,
  checkConfig,
  completeConfig,
  type TrainConfig,
} from '../../train/config.ts'
import { checkStatistics, fittingMicroBatch, lengthsInSteps } from '../../train/runSettings.ts'
import { quickstartRecipe } from '../quickstart.ts'
import type { Study } from './studyFile.ts'

/** What the study leaves out is the quickstart's. */
const studyRecipe: Study['training'] &
  Pick<
    TrainConfig,
    'width' | 'batch' | 'lr' | 'schedule' | 'momentum' | 'nesterov' | 'weightDecay'
  > = quickstartRecipe

/** One network of a study. */
export interface PlannedRun {
  /** Its folder's name, such as `softmax-seed1` or `cosine-softmax-tau0.02-seed1`. */
  readonly id: string
  readonly objective: Objective
  readonly seed: number
  /** The values that a sweep gave it; empty for the runs of the main comparison. */
  readonly swept: Readonly<Record<string, number>>
  readonly config: CompleteConfig
}

/**
 * The runs of a study in the order in which they are taken: seed by seed, so that an unfinished study
 * already compares all objectives, then the sweeps.
 *
 * @throws Error naming the objective, hyperparameter or setting that is wrong, or what stands twice
 */
export function plannedRuns(study: Study, dataset: AnyDataset): PlannedRun[] {
  checkNames(study)
  const main = study.seeds.flatMap((seed) =>
    study.objectives.map((name) => plan(study, dataset, name, seed, {})),
  )
  const swept = (study.sweepSeeds ?? study.seeds).flatMap((seed) =>
    Object.entries(study.sweep).flatMap(([name, keys]) =>
      Object.entries(keys).flatMap(([key, values]) =>
        values.map((value) => plan(study, dataset, name, seed, { [key]: value })),
      ),
    ),
  )
  // A value that the main comparison has already is not trained twice.
  const trained = new Set(main.map(({ config }) => JSON.stringify(config)))
  const runs = [...main, ...swept.filter(({ config }) => !trained.has(JSON.stringify(config)))]
  const twice = repeated(runs.map(({ id }) => id))
  if (twice) throw new Error(`the study has run ${twice} twice`)
  return runs
}

function plan(
  study: Study,
  dataset: AnyDataset,
  name: string,
  seed: number,
  swept: Readonly<Record<string, number>>,
): PlannedRun {
  const given = trainingOf(study, name)
  const { variant, background, ...settings } = { ...studyRecipe, ...given }
  const values = { ...study.hyperparameters[name], ...swept }
  const objective = instantiate(objectiveNamed(name), dataset.classes, values, {
    ...(variant ? { variant } : {}),
    ...(background ? { background } : {}),
  })
  const trainImages = dataset.train.count
  const lengths = lengthsInSteps(given, studyRecipe, { trainImages, ...settings })
  const steps = lengths.steps!
  checkStatistics(given, dataset)
  const { epochs, warmupEpochs, ...rest } = settings
  const config = completeConfig({
    // Images of any size have to be cropped to one.
    augment: isInMemory(dataset) || dataset.size ? 'none' : 'random-resized',
    ...rest,
    steps,
    warmupSteps: lengths.warmupSteps ?? Math.floor(steps / 4),
    objective: name,
    variant: objective.variant,
    background: objective.background,
    hyperparameters: objective.hyperparameters,
    dataset: dataset.name,
    trainImages,
    seed,
  })
  const fitted =
    given.microBatch === undefined
      ? { ...config, microBatch: fittingMicroBatch(config, dataset) }
      : config
  checkConfig(fitted, trainImages)
  const parts = Object.entries(swept).map(([key, value]) => `${key}${value}`)
  return {
    id: [name, ...parts, `seed${seed}`].join('-'),
    objective,
    seed,
    swept,
    config: fitted,
  }
}

/** What the study says of an objective's training; a length of its own, in either unit, wins. */
function trainingOf(study: Study, name: string): Study['training'] {
  const own = study.trainingOf[name] ?? {}
  const { steps, epochs, ...timeless } = study.training
  const { warmupSteps, warmupEpochs, ...common } = timeless
  const isTimed = own.steps !== undefined || own.epochs !== undefined
  const isWarmed = own.warmupSteps !== undefined || own.warmupEpochs !== undefined
  return {
    ...common,
    ...(isTimed ? {} : { steps, epochs }),
    ...(isWarmed ? {} : { warmupSteps, warmupEpochs }),
    ...own,
  }
}

function checkNames({ objectives, seeds, hyperparameters, sweep, trainingOf: own }: Study): void {
  const lists = { objectives, seeds: seeds.map(String) }
  for (const [key, list] of Object.entries(lists)) {
    const twice = repeated(list)
    if (twice) throw new Error(`${key} name ${twice} twice`)
  }
  for (const [what, table] of Object.entries({ hyperparameters, trainingOf: own }))
    for (const name of Object.keys(table))
      if (!objectives.includes(name) && !sweep[name])
        throw new Error(
          `${what} ${what === 'trainingOf' ? 'is' : 'are'} given for ${name}, which no run of the study uses`,
        )
}

function repeated(list: readonly string[]): string | undefined {
  return list.find((item, i) => list.indexOf(item) !== i)
}
