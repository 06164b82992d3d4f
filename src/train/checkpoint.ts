import { mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { readSafetensors, writeSafetensors } from '../data/safetensors.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { ResNet } from '../nn/resnet.ts'
import {
  loadStateDict,
  readGroups,
  readStateDict,
  type StoredTensor,
  writeGroups,
} from '../nn/stateDict.ts'
import type { Sgd } from '../optim/sgd.ts'

const FOLDER = 'checkpoints'
const VELOCITY = 'momentum.'
const KEPT = 2

/**
 * Writes `checkpoints/NNNNN.safetensors`: parameters and batch-norm buffers under torchvision's
 * names, velocities under `momentum.NAME`, the step in the metadata. Older ones but one are removed.
 *
 * Data order and initial weights are functions of the seed and the step, so nothing else is needed
 * to go on bit for bit.
 */
export async function saveCheckpoint(
  gpu: Gpu,
  runFolder: string,
  model: ResNet,
  optimiser: Sgd,
  step: number,
): Promise<void> {
  const tensors = await readStateDict(gpu, model.parameters, step)
  const velocities = await readGroups(gpu, model.parameters, (i) => optimiser.velocities[i]!)
  for (const [name, tensor] of velocities) tensors.set(VELOCITY + name, tensor)
  const folder = path.join(runFolder, FOLDER)
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, `${String(step).padStart(5, '0')}.safetensors`)
  await writeSafetensors(file, tensors, { format: 'pt', step: String(step) })
  const old = (await checkpointSteps(runFolder)).slice(0, -KEPT)
  for (const name of old) await rm(path.join(folder, name))
}

/** Loads the newest checkpoint of a run. @returns its step, or 0 where there is none */
export async function loadCheckpoint(
  gpu: Gpu,
  runFolder: string,
  model: ResNet,
  optimiser: Sgd,
): Promise<number> {
  const newest = (await checkpointSteps(runFolder)).at(-1)
  if (!newest) return 0
  const file = path.join(runFolder, FOLDER, newest)
  const { tensors, metadata } = await readSafetensors(file)
  const step = Number(metadata.step)
  if (!Number.isSafeInteger(step) || step < 0)
    throw new Error(`${file} says step ${metadata.step}, expected an integer of at least 0`)
  const stored = tensors as ReadonlyMap<string, StoredTensor>
  try {
    loadStateDict(gpu, model.parameters, stored)
    const velocities = new Map(
      [...stored]
        .filter(([name]) => name.startsWith(VELOCITY))
        .map(([name, tensor]) => [name.slice(VELOCITY.length), tensor]),
    )
    writeGroups(gpu, model.parameters, (i) => optimiser.velocities[i]!, velocities)
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  return step
}

async function checkpointSteps(runFolder: string): Promise<string[]> {
  const names = await readdir(path.join(runFolder, FOLDER)).catch(() => [])
  return names
    .filter((name) => /^\d+\.safetensors$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
}
