import * as v from 'valibot'
import { initialisations } from '../../nn/initialisation.ts'
import { type Architecture, architectures, poolings, stems } from '../../nn/resnet.ts'
import { decayStarts, scheduleNames } from '../../optim/schedule.ts'
import {
  augmentations,
  badImageActions,
  evalCrops,
  filters,
  points,
  shuffles,
} from '../../train/config.ts'
import { above0, atLeast0, text, whole } from './values.ts'

const channels = v.pipe(v.array(v.number()), v.length(3, 'a list of three numbers'))

/** What may differ from objective to objective; networks and images stay comparable. */
const ofAnObjective = {
  steps: v.optional(whole(1)),
  epochs: v.optional(above0),
  lr: v.optional(above0),
  schedule: v.optional(v.picklist(scheduleNames)),
  decay: v.optional(above0),
  decayFrom: v.optional(v.picklist(decayStarts)),
  staircase: v.optional(v.boolean()),
  warmupEpochs: v.optional(atLeast0),
  warmupSteps: v.optional(whole(0)),
  momentum: v.optional(atLeast0),
  nesterov: v.optional(v.boolean()),
  weightDecay: v.optional(atLeast0),
  clipNorm: v.optional(above0),
  lossScale: v.optional(above0),
  ema: v.optional(atLeast0),
  emaWarmup: v.optional(v.boolean()),
}

/** Keys of `[trainingOf.OBJECTIVE]`. */
export const objectiveTraining = v.strictObject(ofAnObjective)

/** Keys of `[training]`: the settings of `gramgrad train` that a study does not set itself. */
export const training = v.strictObject({
  width: v.optional(above0),
  ...ofAnObjective,
  batch: v.optional(whole(2)),
  microBatch: v.optional(whole(2)),
  variant: v.optional(v.picklist(['paper', 'released'])),
  background: v.optional(v.boolean()),
  arch: v.optional(v.picklist(Object.keys(architectures) as Architecture[])),
  stem: v.optional(v.picklist(stems)),
  pool: v.optional(v.picklist(poolings)),
  init: v.optional(v.picklist(initialisations)),
  zeroGamma: v.optional(v.boolean()),
  weights: v.optional(text),
  imageSize: v.optional(whole(1)),
  mean: v.optional(channels),
  std: v.optional(channels),
  augment: v.optional(v.picklist(augmentations)),
  autoAugment: v.optional(v.boolean()),
  mixup: v.optional(atLeast0),
  filter: v.optional(v.picklist(filters)),
  antialias: v.optional(v.boolean()),
  points: v.optional(v.picklist(points)),
  evalCrop: v.optional(v.picklist(evalCrops)),
  exifOrientation: v.optional(v.boolean()),
  onBadImage: v.optional(v.picklist(badImageActions)),
  shuffle: v.optional(v.picklist(shuffles)),
  holdOut: v.optional(whole(0)),
  earlyStop: v.optional(whole(1)),
  logEvery: v.optional(whole(1)),
})
