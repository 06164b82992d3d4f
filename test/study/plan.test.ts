import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../../src/data/dataset.ts'
import { plannedRuns } from '../../src/study/plan/plannedRuns.ts'
import { selectRuns } from '../../src/study/plan/runStudy.ts'
import { digest, readStage, stage } from '../../src/study/plan/stage.ts'
import { parseStudy } from '../../src/study/plan/studyFile.ts'
import { temporaryFolder } from '../data/temporaryFolder.ts'
import { thrown } from '../thrown.ts'

// Only what a plan looks at.
const dataset = {
  name: 'fashion-mnist',
  classes: 10,
  height: 28,
  width: 28,
  train: { images: new Uint8Array(), count: 8000 },
} as Dataset

const refused: readonly [toml: string, sentence: string][] = [
  ['[[', 'f.toml is not TOML: '],
  ['', 'f.toml: dataset is missing'],
  ['dataset = 3', 'f.toml: dataset is 3, expected a text'],
  ['datset = "x"', 'f.toml: datset is not a setting of a study, expected one of title, dataset, '],
  [
    'dataset = "x"\n[trainingOf.softmax]\nwidth = 1',
    'f.toml: trainingOf.softmax.width is not a setting of a study, expected one of steps, epochs, lr, ',
  ],
  ['dataset = "x"\nseeds = []', 'f.toml: seeds is [], expected a list that is not empty'],
  ['dataset = "x"\nseeds = [1.5]', 'f.toml: seeds.0 is 1.5, expected an integer of at least 0'],
  ['dataset = "x"\nobjectives = "some"', 'f.toml: objectives is "some", expected all or a list'],
  [
    'dataset = "x"\n[training]\nstep = 3',
    'f.toml: training.step is not a setting of a study, expected one of width, steps, ',
  ],
  [
    'dataset = "x"\n[training]\nschedule = "linear"',
    'f.toml: training.schedule is "linear", expected constant or exponential or cosine',
  ],
  [
    'dataset = "x"\n[transfer]\nlambdas = [0]',
    'f.toml: transfer.lambdas.0 is 0, expected a number above 0',
  ],
  [
    'dataset = "x"\n[analysis]\nckaImages = 3',
    'f.toml: analysis.ckaImages is 3, expected 0 or an integer of at least 4',
  ],
  [
    'dataset = "x"\n[training]\nsteps = 0',
    'f.toml: training.steps is 0, expected an integer of at least 1',
  ],
]

for (const [toml, sentence] of refused)
  test(`refused: ${toml.replaceAll('\n', '; ')}`, async () => {
    const { message } = await thrown(() => parseStudy(toml, 'f.toml'))
    assert.ok(message.startsWith(sentence), message)
  })

const meaningless: readonly [toml: string, sentence: string][] = [
  ['objectives = ["softmx"]', 'unknown objective softmx, expected one of softmax, '],
  ['objectives = ["softmax", "softmax"]', 'objectives name softmax twice'],
  ['seeds = [1, 2, 1]', 'seeds name 1 twice'],
  ['[sweep.cosine-softmax]\ntau = [0]', 'cosine-softmax: tau is 0, expected a number above 0'],
  ['[hyperparameters.sigmoid]\ntau = 1', 'sigmoid has no hyperparameter tau, only none'],
  [
    'objectives = ["softmax"]\n[hyperparameters.sigmoid]',
    'hyperparameters are given for sigmoid, which no run of the study uses',
  ],
  ['[training]\nbatch = 9000', 'batch is 9000, expected at most the 8000 training images'],
]

for (const [toml, sentence] of meaningless)
  test(`no plan of: ${toml.replaceAll('\n', '; ')}`, async () => {
    const study = parseStudy(`dataset = "fashion-mnist"\n${toml}`, 'f.toml')
    const { message } = await thrown(() => plannedRuns(study, dataset))
    assert.ok(message.startsWith(sentence), message)
  })

const small = parseStudy(
  `dataset = "fashion-mnist"
objectives = ["softmax", "cosine-softmax"]
seeds = [1, 2]
[training]
steps = 20
[sweep.cosine-softmax]
tau = [0.02, 0.05]`,
  'f.toml',
)

test('runs go seed by seed, then the sweep without what is trained already', () => {
  const runs = plannedRuns(small, dataset)
  assert.equal(
    runs.map(({ id }) => id),
    [
      'softmax-seed1',
      'cosine-softmax-seed1',
      'softmax-seed2',
      'cosine-softmax-seed2',
      'cosine-softmax-tau0.02-seed1',
      'cosine-softmax-tau0.02-seed2',
    ],
    'tau 0.05 is the default and not trained twice',
  )
  assert.is(runs[4]!.config.hyperparameters.tau, 0.02)
  assert.is(runs[4]!.config.warmupSteps, 5, 'a quarter of the steps unless told otherwise')
})

test('shards are disjoint and together all runs', () => {
  const runs = plannedRuns(small, dataset)
  const parts = [1, 2, 3, 4].map((index) => selectRuns(runs, { shard: { index, count: 4 } }))
  assert.equal(
    parts
      .flat()
      .map(({ id }) => id)
      .sort(),
    runs.map(({ id }) => id).sort(),
  )
  assert.equal(
    selectRuns(runs, { only: 'softmax-seed2' }).map(({ id }) => id),
    ['softmax-seed2'],
  )
})

test('a run that is not there is refused by name', async () => {
  const { message } = await thrown(() => selectRuns(plannedRuns(small, dataset), { only: 'x' }))
  assert.match(message, 'the study has no run x, expected one of softmax-seed1, ')
})

test('a stage is computed once for the same inputs, and again for others', async () => {
  const file = path.join(temporaryFolder(), 'stage.json')
  let computed = 0
  const take = (inputs: unknown) =>
    stage(file, inputs, async () => ({ value: ++computed, absent: undefined }))
  assert.equal(await take({ a: 1, b: [2] }), { result: { value: 1 }, reused: false })
  assert.equal(await take({ b: [2], a: 1 }), { result: { value: 1 }, reused: true })
  assert.equal(await take({ a: 1, b: [3] }), { result: { value: 2 }, reused: false })
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, 20))
  assert.is(await readStage(file, { a: 1, b: [3] }), undefined, 'a damaged file counts for none')
})

test('digests differ by value and by key, not by the order of keys', () => {
  assert.is(digest({ a: 1, b: 2 }), digest({ b: 2, a: 1 }))
  assert.is(digest({ a: undefined }), digest({}))
  const values = [1, '1', null, [1], [[1]], { a: 1 }, { b: 1 }, true]
  assert.is(new Set(values.map(digest)).size, values.length)
})

test.run()
