import { mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { readSafetensors, type SafetensorsFile, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ParameterSet } from '../nn/parameters.ts'
import {
  loadStateDict,
  readGroups,
  readStateDict,
  type StateDict,
  type StoredTensor,
  writeGroups,
} from '../nn/stateDict.ts'
import type { Sgd } from '../optim/sgd.ts'

const FOLDER = 'checkpoints'
const VELOCITY = 'momentum.'
const AVERAGE = 'ema.'
/** Losses of the steps since the last full epoch. */
const LOSSES = 'train.epoch_losses'

/** What a run holds on the device between two steps. */
export interface TrainState {
  readonly parameters: ParameterSet
  readonly averages: ParameterSet | undefined
  readonly optimiser: Sgd
}

/** Where a run stands, as a checkpoint keeps it. */
export interface RunPosition {
  readonly step: number
  /** Batches that batch norm has seen, those before the run included. */
  readonly batchesTracked: number
  /** Losses of the steps since the last full epoch, in order. */
  readonly epochLosses: readonly number[]
}

/**
 * Writes `checkpoints/NNNNN.safetensors`: parameters and batch-norm buffers under torchvision's
 * names, velocities under `momentum.NAME`, averages under `ema.NAME`, the step in the metadata. The
 * `keep` newest stay, and that of step `best`.
 *
 * Data order, augmentation and initial weights are functions of the seed and the step, so nothing
 * else is needed to go on bit for bit.
 */
export async function saveCheckpoint(
  gpu: Gpu,
  runFolder: string,
  { parameters, averages, optimiser }: TrainState,
  position: RunPosition,
  { seed, keep, best }: { seed: number; keep: number; best: number | undefined },
): Promise<void> {
  const { step, batchesTracked, epochLosses } = position
  const tensors = await readStateDict(gpu, parameters, batchesTracked)
  const velocities = await readGroups(gpu, parameters, (i) => optimiser.velocities[i]!)
  for (const [name, tensor] of velocities) tensors.set(VELOCITY + name, tensor)
  if (averages)
    for (const [name, tensor] of await readStateDict(gpu, averages, batchesTracked))
      tensors.set(AVERAGE + name, tensor)
  tensors.set(LOSSES, { shape: [epochLosses.length], data: Float32Array.from(epochLosses) })
  const folder = path.join(runFolder, FOLDER)
  await mkdir(folder, { recursive: true })
  await writeSafetensors(checkpointFile(runFolder, step), tensors, {
    format: 'pt',
    step: String(step),
    batchesTracked: String(batchesTracked),
    seed: String(seed),
  })
  for (const old of (await checkpointSteps(runFolder)).slice(0, -keep))
    if (old !== best) await rm(checkpointFile(runFolder, old))
}

/** Loads the newest checkpoint of a run. @returns where it stands, or undefined where there is none */
export async function loadCheckpoint(
  gpu: Gpu,
  runFolder: string,
  { parameters, averages, optimiser }: TrainState,
): Promise<RunPosition | undefined> {
  const newest = (await checkpointSteps(runFolder)).at(-1)
  if (newest === undefined) return undefined
  const file = checkpointFile(runFolder, newest)
  const { tensors, metadata } = await readSafetensors(file)
  const step = Number(metadata.step)
  const batchesTracked = Number(metadata.batchesTracked ?? metadata.step)
  if (!Number.isSafeInteger(step) || step < 0)
    throw new Error(`${file} says step ${metadata.step}, expected an integer of at least 0`)
  try {
    loadStateDict(gpu, parameters, tensors as ReadonlyMap<string, StoredTensor>)
    writeGroups(gpu, parameters, (i) => optimiser.velocities[i]!, startingWith(tensors, VELOCITY))
    if (averages) loadStateDict(gpu, averages, startingWith(tensors, AVERAGE))
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  const epochLosses = [...((tensors.get(LOSSES)?.data ?? []) as Float32Array)]
  return { step, batchesTracked, epochLosses }
}

/** The weights that a checkpoint's run evaluates with: the averages where it has them. */
export async function readCheckpointWeights(runFolder: string, step: number): Promise<StateDict> {
  const { tensors } = await readSafetensors(checkpointFile(runFolder, step))
  const averages = startingWith(tensors, AVERAGE)
  const own = [...tensors].filter(([name]) => !name.startsWith(VELOCITY) && name !== LOSSES)
  return averages.size > 0 ? averages : (new Map(own) as StateDict)
}

/** Steps of the checkpoints of a run, ascending. */
export async function checkpointSteps(runFolder: string): Promise<number[]> {
  const names = await readdir(path.join(runFolder, FOLDER)).catch(() => [])
  return names
    .filter((name) => /^\d+\.safetensors$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
}

function checkpointFile(runFolder: string, step: number): string {
  return path.join(runFolder, FOLDER, `${String(step).padStart(5, '0')}.safetensors`)
}

function startingWith(tensors: SafetensorsFile['tensors'], prefix: string): StateDict {
  const found = [...tensors].filter(([name]) => name.startsWith(prefix))
  return new Map(found.map(([name, tensor]) => [name.slice(prefix.length), tensor])) as StateDict
}
