import {
  type AnyDataset,
  asImageDataset,
  type ImageDataset,
  withBackground,
} from '../data/imageSource.ts'
import { openAnyDataset } from '../data/registry.ts'
import type { Study } from '../study/plan/studyFile.ts'

/** The data sets of a study. */
export interface OpenedData {
  readonly dataset: AnyDataset
  /** By the name in the study. */
  readonly transfer: ReadonlyMap<string, ImageDataset>
}

/**
 * Opens a study's data sets.
 *
 * @param file of the study, for errors
 * @param base folder that relative paths start from; default what the study says
 * @throws Error in one sentence on a data set that is missing, unknown or has no test images
 */
export async function openStudyData(
  file: string,
  study: Study,
  base = study.data,
): Promise<OpenedData> {
  const { exifOrientation, onBadImage, background } = study.training
  const options = {
    ...(base === undefined ? {} : { base }),
    ...(exifOrientation ? { exifOrientation } : {}),
    ...(onBadImage === 'refuse' ? { onProblem: refuse } : {}),
  }
  const opened = await openAnyDataset(study.dataset, {
    ...options,
    ...(study.size ? { size: study.size } : {}),
  })
  if (!opened.test)
    throw new Error(`${file}: dataset is ${study.dataset}, which has one split, expected two`)
  const transfer = new Map<string, ImageDataset>()
  for (const name of study.transfer.datasets) {
    const found = asImageDataset(await openAnyDataset(name, { ...options, validation: true }))
    if (!found.test)
      throw new Error(`${file}: transfer.datasets has ${name}, which has one split, expected two`)
    transfer.set(name, found)
  }
  const unknown = Object.keys(study.transfer.metrics).find((name) => !transfer.has(name))
  if (unknown !== undefined)
    throw new Error(
      `${file}: transfer.metrics names ${unknown}, expected one of ${[...transfer.keys()].join(', ')}`,
    )
  const dataset = background ? withBackground(asImageDataset(opened)) : opened
  return { dataset, transfer }
}

function refuse(problem: Error): never {
  throw problem
}
