import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeFileWhole } from '../../src/data/files.ts'
import { runCli, temporaryFolder, tinyDataset } from './runCli.ts'

const folder = await temporaryFolder()
const file = path.join(folder, 'tiny.toml')
const transferSet = await tinyDataset(30, 20)
await writeFileWhole(
  file,
  `dataset = "idx:${await tinyDataset()}"
objectives = ["softmax", "squared-error"]
seeds = [1, 2]
[training]
width = 0.0625
steps = 6
batch = 8
[transfer]
datasets = ["idx:${transferSet}"]
lambdas = [0.01, 1]
train = 20
test = 10
`,
)

/** What every run found, by run. */
async function results(out: string): Promise<Record<string, string>> {
  const runs = path.join(out, 'runs')
  const found: Record<string, string> = {}
  for (const run of (await readdir(runs)).sort())
    for (const name of await readdir(path.join(runs, run)))
      if (name.endsWith('.json'))
        found[`${run}/${name}`] = await readFile(path.join(runs, run, name), 'utf8')
  return found
}

const study = (...args: string[]) => runCli(['study', ...args])
const straight = path.join(folder, 'straight')

let straightMilliseconds = 0

test('a study runs to the end, each run once', async () => {
  const start = performance.now()
  const { code, stdout, stderr } = await study('run', file, '--out', straight, '--json')
  straightMilliseconds = performance.now() - start
  assert.is(code, 0, stderr)
  assert.equal(JSON.parse(stdout), { runs: 4, done: 4, out: straight })
  assert.is(Object.keys(await results(straight)).length, 16, 'four results a run')
  const again = await study('run', file, '--out', straight)
  assert.is(again.stdout, `4 of 4 runs are finished, in ${straight}\n`)
  assert.not.match(again.stderr, 'Training')
})

test('killed at random moments, then finished by two processes, it ends with the same bytes', async () => {
  const out = path.join(folder, 'killed')
  const kills = Number(process.env.GRAMGRAD_KILLS ?? 2)
  const moments: number[] = []
  for (let i = 0; i < kills; i++) {
    const moment = Math.random() * straightMilliseconds
    moments.push(Math.round(moment))
    await runCli(['study', 'run', file, '--out', out], { killAfter: moment })
  }
  const { code, stdout, stderr } = await study('run', file, '--out', out, '--jobs', '2', '--json')
  assert.is(code, 0, stderr)
  assert.equal(JSON.parse(stdout), { runs: 4, done: 4, out })
  assert.equal(await results(out), await results(straight), `killed after ${moments} ms`)
  assert.equal(await tables(out), await tables(straight))
  const names = [...stderr.matchAll(/Job \d of 8: (.+)/g)].map(([, name]) => name)
  assert.is(new Set(names).size, names.length, `taken twice: ${names}`)
})

/** The tables of a study's report, but for the command, which names the folder. */
async function tables(out: string): Promise<string[]> {
  const { code, stderr, stdout } = await study('report', file, '--out', out, '--json')
  assert.is(code, 0, stderr)
  const { report, runs, done } = JSON.parse(stdout)
  assert.equal([runs, done], [4, 4])
  const read = (name: string) => readFile(path.join(path.dirname(report), name), 'utf8')
  const markdown = (await read('tables.md')).replace(/^- Command: .*$/m, '')
  const cka = await read('cka.csv')
  assert.match(cka, '\nsoftmax-seed1,softmax-seed1 at initialisation,layer1.0,layer1.0,')
  assert.not.match(cka, 'squared-error-seed1 at initialisation')
  return [await read('runs.csv'), cka, markdown]
}

test('a plan says what is left, how long it takes and how much disk', async () => {
  const end = await study('plan', file, '--out', straight, '--json')
  const plan = JSON.parse(end.stdout)
  assert.is(plan.done, 4)
  assert.is(plan.minutesLeft, 0)
  const fresh = JSON.parse(
    (await study('plan', file, '--out', path.join(folder, 'none'), '--json')).stdout,
  )
  assert.equal(
    fresh.runs.map(({ id, state }: { id: string; state: string }) => `${id} ${state}`),
    ['softmax-seed1', 'squared-error-seed1', 'softmax-seed2', 'squared-error-seed2'].map(
      (id) => `${id} to do`,
    ),
  )
  assert.ok(fresh.minutesLeft >= 1)
  assert.ok(fresh.megabytesLeft >= 1)
})

test('what is wrong is found before anything runs, in one sentence', async () => {
  const bad = path.join(folder, 'bad.toml')
  for (const [text, code, sentence] of [
    ['dataset = "idx:/nowhere"', 1, 'nowhere'],
    ['dataset = "fashion-mnist"\nobjectives = ["softmx"]', 1, 'unknown objective softmx'],
    ['dataset = "fashion-mnist"\n[transfer]\ndatasets = ["no"]', 1, "data set 'no' is unknown"],
    ['dataset = "fashion-mnist"\n[training]\nstep = 1', 1, 'training.step is not a setting'],
    // A network of terabytes.
    [
      'dataset = "fashion-mnist"\n[training]\nwidth = 300',
      1,
      / has \d+ MB free, expected the \d+ MB/,
    ],
  ] as const) {
    await writeFileWhole(bad, text)
    const end = await study('run', bad, '--out', path.join(folder, 'bad'))
    assert.is(end.code, code)
    assert.match(end.stderr, sentence)
    assert.is(end.stderr.trim().split('\n').length, 1, end.stderr)
  }
  assert.is((await study('run', file, '--shard', '3/2')).code, 2)
  assert.is((await study('run', file, '--only', 'x')).code, 1)
})

test.run()
