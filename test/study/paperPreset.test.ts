import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readSettings } from '../../src/cli/trainSettings.ts'
import type { ImageDataset } from '../../src/data/imageSource.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { imageDatasetSpecs } from '../../src/data/registry.ts'
import { plannedRuns } from '../../src/study/plan/plannedRuns.ts'
import { readStudyFile, transferMetric } from '../../src/study/plan/studyFile.ts'

const file = path.join(packageRoot(), 'studies/paper.toml')
const study = await readStudyFile(file)
// Only what a plan looks at.
const imagenet = {
  name: study.dataset,
  classes: 1000,
  statistics: { mean: [0, 0, 0], std: [1, 1, 1] },
  train: { count: 1_281_167 },
  test: { count: 50_000 },
} as ImageDataset
const runs = plannedRuns(study, imagenet)

test('the nine objectives of eight seeds for the epochs of Table A.1, then Table 4', () => {
  assert.is(runs.length, 9 * 8 + 7 * 3)
  const stepsPerEpoch = Math.floor(1_281_167 / 4096)
  const epochs = Object.fromEntries(
    runs.slice(0, 9).map(({ objective, config }) => [objective.name, config.steps / stepsPerEpoch]),
  )
  assert.equal(epochs, {
    softmax: 146,
    'label-smoothing': 180,
    dropout: 172,
    'extra-l2': 168,
    'logit-penalty': 180,
    'logit-norm': 152,
    'cosine-softmax': 158,
    sigmoid: 166,
    'squared-error': 196,
  })
  for (const { config } of runs) assert.is(config.warmupSteps, 10 * stepsPerEpoch)
  const swept = runs.slice(72, 79)
  assert.equal(
    swept.map(({ config }) => config.hyperparameters.tau),
    [0.01, 0.02, 0.03, 0.04, 0.06, 0.07, 0.08],
  )
  for (const { config } of swept) assert.is(config.steps, 158 * stepsPerEpoch)
})

test("every setting of the recipe for one run is the study's too", async () => {
  const recipe = await readSettings(path.join(packageRoot(), 'recipes/paper-resnet50.toml'))
  const { loss, epochs, warmupEpochs, ...settings } = recipe
  const config: object = runs[0]!.config
  assert.equal({ ...config, ...settings }, config)
  assert.is(runs[0]!.objective.name, loss)
  assert.is(study.trainingOf.softmax!.epochs, epochs)
  assert.is(study.training.warmupEpochs, warmupEpochs)
})

test('transfer sets are of known formats, and metrics those of Table A.2', () => {
  const { datasets } = study.transfer
  for (const name of [study.dataset, ...datasets])
    assert.ok(imageDatasetSpecs.includes(`${name.split(':')[0]}:PATH`), name)
  assert.equal(
    datasets.map((name) => transferMetric(study, name)),
    [...Array(6).fill('top1'), 'per-class', 'per-class'],
  )
  assert.equal(
    Object.keys(study.transfer.metrics).filter((name) => !datasets.includes(name)),
    [],
  )
  assert.is(study.transfer.lambdas, undefined, 'the 45 of the paper')
})

test.run()
