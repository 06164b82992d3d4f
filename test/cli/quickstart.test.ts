import { access, readFile, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StudyResult } from '../../src/study/studyResult.ts'
import { assertRefusals, type Refusal, runCli, temporaryFolder, tinyDataset } from './runCli.ts'

const small = ['--width', '0.0625', '--batch', '8', '--steps', '24', '--seed', '3']
const two = ['--objectives', 'softmax,squared-error']

async function quickstartArgs(out: string, dataset?: string): Promise<string[]> {
  return [
    'quickstart',
    '--dataset',
    `idx:${dataset ?? (await tinyDataset())}`,
    '--out',
    out,
    ...small,
    ...two,
  ]
}

test('trains, compares and reports; the same command again reuses what is there', async () => {
  const out = path.join(await temporaryFolder(), 'quick')
  const args = [...(await quickstartArgs(out)), '--json']
  const first = await runCli(args)
  assert.is(first.code, 0, first.stderr)
  const result = JSON.parse(first.stdout) as StudyResult
  assert.equal(
    result.objectives.map(({ name }) => name),
    ['softmax', 'squared-error'],
  )
  for (const { layers, history } of result.objectives) {
    assert.is(layers.length, 17)
    assert.is(history.length, 4)
    for (const { nonZero } of layers) assert.ok(nonZero > 0 && nonZero <= 1)
  }
  const [cka] = result.cka
  assert.is(cka!.matrix.length, 17)
  assert.is(cka!.n, 24)
  await access(path.join(out, 'report.html'))
  for (const name of ['config.toml', 'metrics.jsonl', 'log.txt', 'weights.safetensors'])
    await access(path.join(out, 'softmax', name))
  const second = await runCli(args)
  assert.is(second.code, 0, second.stderr)
  assert.not.match(second.stderr, 'Training')
  const again = JSON.parse(second.stdout) as StudyResult
  assert.equal(again.objectives, result.objectives)
  assert.equal(again.cka, result.cka)
})

test('all nine objectives train and stand side by side', async () => {
  const out = path.join(await temporaryFolder(), 'nine')
  const tiny = ['--dataset', `idx:${await tinyDataset()}`, '--out', out, ...small]
  const end = await runCli(['quickstart', ...tiny, '--steps', '6', '--json'])
  assert.is(end.code, 0, end.stderr)
  assert.match(end.stderr, /All networks: \d+ %, network \d of 9/)
  const result = JSON.parse(end.stdout) as StudyResult
  assert.is(result.objectives.length, 9)
  assert.is(result.cka.length, 8)
  for (const { name, top1, finalLoss, layers } of result.objectives) {
    assert.ok(top1 >= 0 && top1 <= 1 && Number.isFinite(finalLoss), name)
    assert.is(layers.length, 17, name)
  }
})

test('Ctrl-C leaves a run that the same command resumes, with the same result', async () => {
  const dataset = await tinyDataset()
  const parent = await temporaryFolder()
  const straight = path.join(parent, 'straight')
  const stopped = path.join(parent, 'stopped')
  assert.is((await runCli(await quickstartArgs(straight, dataset))).code, 0)
  let sent = false
  const interrupted = await runCli(await quickstartArgs(stopped, dataset), {
    onStderr: (text, interrupt) => {
      if (sent || !text.includes('Training Squared error')) return
      sent = true
      interrupt()
    },
  })
  // The signal may come after the last step: then there is nothing left to interrupt.
  if (interrupted.code !== 0) {
    assert.is(interrupted.code, 130, interrupted.stderr)
    assert.match(interrupted.stderr, /Stopped after step \d+; the same command goes on/)
  }
  const resumed = await runCli(await quickstartArgs(stopped, dataset))
  assert.is(resumed.code, 0, resumed.stderr)
  for (const name of ['softmax', 'squared-error'])
    assert.is(
      await readFile(path.join(stopped, name, 'metrics.jsonl'), 'utf8'),
      await readFile(path.join(straight, name, 'metrics.jsonl'), 'utf8'),
    )
})

test('wrong usage exits with 2, a failure with 1 and one sentence that names the cause', async () => {
  const parent = await temporaryFolder()
  const out = path.join(parent, 'out')
  const dataset = await tinyDataset()
  const args = await quickstartArgs(out, dataset)
  const blocked = path.join(parent, 'file')
  await writeFile(blocked, 'in the way')
  const damaged = await tinyDataset()
  const images = path.join(damaged, 'train-images-idx3-ubyte')
  await truncate(images, 500)
  const cases: Refusal[] = [
    [[...args, '--steps', 'many'], 2, /--steps.*expected a number/],
    [[...args, '--stepz', '3'], 2, /unknown option '--stepz'/],
    [['frobnicate'], 2, /unknown command 'frobnicate'/],
    [[...args, '--objectives', 'softmax,hinge'], 1, /unknown objective hinge, expected one of/],
    [[...args, '--objectives', 'softmax'], 1, /objectives are softmax, expected at least two/],
    [[...args, '--objectives', 'softmax,softmax'], 1, /objectives name softmax twice/],
    [[...args, '--width', '0'], 1, /width is 0, expected a number above 0/],
    [[...args, '--steps', '0'], 1, /steps is 0, expected an integer of at least 1/],
    [[...args, '--batch', '4096'], 1, /batch.* 4096.*48/],
    [[...args, '--batch', '1'], 1, /batch is 1, expected .*at least 2/],
    [[...args, '--dataset', 'cats'], 1, /cats/],
    [[...args, '--dataset', `idx:${damaged}`], 1, new RegExp(images)],
    [[...args, '--out', path.join(blocked, 'out')], 1, new RegExp(blocked)],
  ]
  await assertRefusals(cases)
  const left = await access(out).then(
    () => true,
    () => false,
  )
  assert.is(left, false, 'a refused run left a folder')
})

test('without an adapter the message says what to install', async () => {
  const out = path.join(await temporaryFolder(), 'out')
  const end = await runCli(await quickstartArgs(out), {
    env: { VK_DRIVER_FILES: '/nonexistent.json', VK_ICD_FILENAMES: '/nonexistent.json' },
  })
  assert.is(end.code, 1)
  assert.match(end.stderr, /no WebGPU adapter was found.*install/)
})

test.run()
