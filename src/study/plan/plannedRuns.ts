import type { Dataset } from '../../data/dataset.ts'
import { instantiate, type Objective } from '../../losses/objective.ts'
import { objectiveNamed } from '../../losses/registry.ts'
import { type CompleteConfig, checkConfig, completeConfig } from '../../train/config.ts'
import type { Study } from './studyFile.ts'

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
export function plannedRuns(study: Study, dataset: Dataset): PlannedRun[] {
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
  dataset: Dataset,
  name: string,
  seed: number,
  swept: Readonly<Record<string, number>>,
): PlannedRun {
  const values = { ...study.hyperparameters[name], ...swept }
  const objective = instantiate(objectiveNamed(name), dataset.classes, values)
  const config = completeConfig({
    ...study.training,
    warmupSteps: study.training.warmupSteps ?? Math.floor(study.training.steps / 4),
    objective: name,
    hyperparameters: objective.hyperparameters,
    dataset: dataset.name,
    trainImages: dataset.train.count,
    seed,
  })
  checkConfig(config, dataset.train.count)
  const parts = Object.entries(swept).map(([key, value]) => `${key}${value}`)
  return { id: [name, ...parts, `seed${seed}`].join('-'), objective, seed, swept, config }
}

function checkNames({ objectives, seeds, hyperparameters, sweep }: Study): void {
  const lists = { objectives, seeds: seeds.map(String) }
  for (const [key, list] of Object.entries(lists)) {
    const twice = repeated(list)
    if (twice) throw new Error(`${key} name ${twice} twice`)
  }
  for (const name of Object.keys(hyperparameters))
    if (!objectives.includes(name) && !sweep[name])
      throw new Error(`hyperparameters are given for ${name}, which no run of the study uses`)
}

function repeated(list: readonly string[]): string | undefined {
  return list.find((item, i) => list.indexOf(item) !== i)
}
