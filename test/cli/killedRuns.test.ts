import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../../src/data/packageRoot.ts'
import { readSafetensors } from '../../src/data/safetensors.ts'
import { runCli, temporaryFolder, tinyDataset } from './runCli.ts'

/** How often the run is killed: `KILLS=30 npm test -- killedRuns` takes some minutes. */
const KILLS = Number(process.env.KILLS ?? 3)
const STEPS = 40 + 16 * KILLS

// Two steps an epoch, of two micro-batches each: a checkpoint and an evaluation every few moments.
const CONFIG = `
arch = "resnet18"
width = 0.0625
batch = 20
micro-batch = 10
steps = ${STEPS}
warmup-steps = 10
hold-out = 8
lr = 0.02
ema = 0.99
mixup = 0.2
seed = 5
`

/** Of a file; a comparison of whole files that differ would take minutes to show how. */
async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

/** What a run left that must not depend on how often it was killed. */
async function remains(run: string): Promise<unknown> {
  const newest = (await readdir(path.join(run, 'checkpoints'))).sort().at(-1)!
  const { tensors } = await readSafetensors(path.join(run, 'weights.safetensors'))
  return {
    checkpoint: newest,
    state: await digest(path.join(run, 'checkpoints', newest)),
    weights: [...tensors].map(([name, { data }]) => [
      name,
      createHash('sha256').update(data).digest('hex'),
    ]),
    metrics: await digest(path.join(run, 'metrics.jsonl')),
  }
}

/** Steps of the checkpoints under their final names, each of which loads whole. */
async function loadAll(run: string): Promise<number[]> {
  const folder = path.join(run, 'checkpoints')
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^\d+\.\w+$/.test(name))
  for (const name of names) {
    const { tensors, metadata } = await readSafetensors(path.join(folder, name))
    assert.is(Number(metadata.step), Number.parseInt(name, 10))
    // Of 62 parameters values, averages and velocities; of 20 batch norms two statistics and a
    // count, twice; the losses.
    assert.is(tensors.size, 3 * 62 + 2 * 60 + 1, name)
  }
  return names.map((name) => Number.parseInt(name, 10)).sort((a, b) => a - b)
}

/** Resolves when `look` finds what it looks for, or the process ends. */
async function until(child: ChildProcess, look: () => Promise<boolean>): Promise<void> {
  while (child.exitCode === null && !(await look()))
    await new Promise((wait) => setTimeout(wait, 10))
}

/**
 * Starts the run or goes on with it, and kills it: an even number of times after it began, while it
 * loads and records, an odd one after a new checkpoint, while it trains and writes.
 *
 * @returns false where the run ended first
 */
async function killOnce(number: number, run: string, args: readonly string[]): Promise<boolean> {
  const before = await loadAll(run)
  const child = spawn(process.execPath, [path.join(packageRoot(), 'bin/gramgrad.mjs'), ...args])
  const ended = new Promise((end) => child.on('close', end))
  const log = () => readFile(path.join(run, 'log.txt'), 'utf8').catch(() => '')
  const lives = (await log()).split('\n').length
  await until(child, async () => (await log()).split('\n').length > lives)
  if (number % 2 === 1)
    await until(child, async () => {
      const names = await readdir(path.join(run, 'checkpoints')).catch(() => [])
      return names.some((name) => Number.parseInt(name, 10) > (before.at(-1) ?? 0))
    })
  // Moments spread evenly over 0.8 s, by the golden ratio.
  await new Promise((wait) => setTimeout(wait, 800 * ((number * 0.618) % 1)))
  const kills = child.exitCode === null
  if (kills) child.kill('SIGKILL')
  await ended
  return kills
}

test(`killed up to ${KILLS} times and resumed: every checkpoint loads, and the end has the same bits`, async () => {
  const folder = await temporaryFolder()
  await writeFile(path.join(folder, 'small.toml'), CONFIG)
  const dataset = `idx:${await tinyDataset()}`
  const args = ['train', '--config', path.join(folder, 'small.toml'), '--dataset', dataset]
  const rest = ['--no-test', '--json']
  const straight = path.join(folder, 'straight')
  const end = await runCli([...args, ...rest, '--out', straight])
  assert.is(end.code, 0, end.stderr)
  assert.is(JSON.parse(end.stdout).steps, STEPS)
  const killed = path.join(folder, 'killed')
  let kills = 0
  for (; kills < KILLS; kills++) {
    const asked = existsSync(path.join(killed, 'config.toml'))
      ? ['train', '--resume', killed]
      : [...args, '--out', killed]
    if (!(await killOnce(kills, killed, [...asked, ...rest]))) break
    const steps = await loadAll(killed)
    if (kills > 0) assert.ok(steps.length > 0, 'a checkpoint that was written stays')
  }
  assert.ok(kills > 1, 'the run was over too soon to be killed')
  console.log(`killed ${kills} times`)
  const last = await runCli(['train', '--resume', killed, ...rest])
  assert.is(last.code, 0, last.stderr)
  assert.equal(await remains(killed), await remains(straight))
})

test.run()
