import path from 'node:path'
import type { Gpu } from '../../gpu/gpu.ts'
import { initialNetwork } from '../../train/initialNetwork.ts'
import { loadRun } from '../../train/loadRun.ts'
import { type ImagePart, runInput } from '../../train/runInput.ts'
import { type NamedModel, someExamples } from '../analyse.ts'
import { compareNetworks } from '../networkComparison.ts'
import type { CkaComparison } from '../studyResult.ts'
import { type RunHooks, runFolderOf, type StudyData } from './oneRun.ts'
import type { PlannedRun } from './plannedRuns.ts'
import { readStage, stage } from './stage.ts'
import { CKA_BATCH } from './studyFile.ts'

/** CKA of a run's layers with those of other runs; `a` and `b` are runs. */
export interface RunComparison {
  readonly cka: readonly CkaComparison[]
}

/**
 * What a run of the main comparison is compared with: every objective's network from the next seed,
 * its own objective's among them; with one seed only, the other objectives' networks. Runs of sweeps
 * are compared with nothing.
 */
export function partnersOf(
  { study }: StudyData,
  runs: readonly PlannedRun[],
  run: PlannedRun,
): PlannedRun[] {
  const { seeds, analysis } = study
  if (analysis.ckaImages === 0 || Object.keys(run.swept).length > 0) return []
  const seed = seeds[(seeds.indexOf(run.seed) + 1) % seeds.length]
  return runs.filter(
    (other) => other !== run && other.seed === seed && Object.keys(other.swept).length === 0,
  )
}

/** What a comparison calls the network that a run's training began with. */
export function initialName(run: PlannedRun): string {
  return `${run.id} at initialisation`
}

/**
 * Whether a run is also compared with its network at initialisation, the second control of Figure 2a: those of the
 * first objective are, which the others are compared with there.
 */
export function meetsInitial({ study }: StudyData, run: PlannedRun): boolean {
  const { objectives, analysis } = study
  const isMain = Object.keys(run.swept).length === 0
  return analysis.ckaImages > 0 && isMain && run.objective.name === objectives[0]
}

function comparisonFile(out: string, run: PlannedRun): string {
  return path.join(runFolderOf(out, run), 'cka.json')
}

function comparisonInputs(
  data: StudyData,
  run: PlannedRun,
  partners: readonly PlannedRun[],
): unknown {
  const { ckaImages, ckaBatch, ckaEpochs } = data.study.analysis
  return {
    config: run.config,
    partners: partners.map(({ config }) => config),
    ckaImages,
    // Absent where they are the defaults, as before there were others: such comparisons stay valid.
    ...(ckaBatch === CKA_BATCH ? {} : { ckaBatch }),
    ...(ckaEpochs === 1 ? {} : { ckaEpochs }),
    ...(meetsInitial(data, run) ? { initial: true } : {}),
  }
}

/** A run's comparison where it is there, for these configurations. */
export function finishedComparison(
  data: StudyData,
  run: PlannedRun,
  partners: readonly PlannedRun[],
): Promise<RunComparison | undefined> {
  return readStage(comparisonFile(data.out, run), comparisonInputs(data, run, partners))
}

/** Compares a run's layers with those of its partners, all of which are trained, and of its own beginning. */
export async function compareRun(
  gpu: Gpu,
  data: StudyData,
  run: PlannedRun,
  partners: readonly PlannedRun[],
  { onPhase = () => {}, onProblem }: RunHooks,
): Promise<void> {
  const { study, dataset, out } = data
  const { ckaImages, ckaBatch, ckaEpochs } = study.analysis
  const images = (part: ImagePart) => runInput(gpu, dataset, part, run.config, onProblem)
  await stage(
    comparisonFile(out, run),
    comparisonInputs(data, run, partners),
    async (): Promise<RunComparison> => {
      const models: NamedModel[] = []
      try {
        for (const each of [run, ...partners]) {
          const { model } = await loadRun(gpu, runFolderOf(out, each))
          models.push({ name: each.id, model })
        }
        if (meetsInitial(data, run)) {
          const loaded = await loadRun(gpu, runFolderOf(out, run))
          try {
            const model = await initialNetwork(gpu, loaded, () => images({ split: 'train' }), {
              batch: run.config.microBatch,
            })
            models.push({ name: initialName(run), model })
          } finally {
            loaded.model.parameters.release()
          }
        }
        const cka = await compareNetworks(
          gpu,
          someExamples(dataset.test!.count, ckaImages, true)!,
          (examples) => images({ split: 'test', examples }),
          models,
          (done, total) => onPhase(`Comparing ${run.id}`, done, total),
          { batch: ckaBatch, epochs: ckaEpochs },
        )
        return { cka }
      } finally {
        for (const { model } of models) model.parameters.release()
      }
    },
  )
}
