import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readSafetensors } from '../../src/data/safetensors.ts'
import { GpuDeviceLostError } from '../../src/gpu/errors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import type { TrainConfig } from '../../src/train/config.ts'
import { type TrainHooks, TrainingInterrupted, train } from '../../src/train/trainer.ts'
import { runAgain, scenario } from '../childProcess.ts'
import { temporaryFolder } from '../data/temporaryFolder.ts'
import { thrown } from '../thrown.ts'
import { softmaxObjective, tinyConfig, tinyDataset } from './tinyTraining.ts'

/** A signal that aborts before the step after `steps`; the trainer asks once a step. */
function abortAfter(steps: number, onStep: (step: number) => void = () => {}): AbortSignal {
  let asked = 0
  return {
    get aborted() {
      onStep(asked)
      return asked++ >= steps
    },
  } as AbortSignal
}

function run(on: Gpu, folder: string, config: TrainConfig, hooks: TrainHooks = {}) {
  return train(on, tinyDataset(), softmaxObjective(), config, folder, hooks)
}

/** Every byte of weights, batch-norm buffers, velocities and metrics that a run left. */
async function remains(folder: string): Promise<Record<string, unknown>> {
  const { tensors } = await readSafetensors(path.join(folder, 'weights.safetensors'))
  return {
    weights: Object.fromEntries(tensors),
    checkpoint: readFileSync(path.join(folder, 'checkpoints/00012.safetensors'), 'hex'),
    metrics: readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8'),
  }
}

/** A child process: prints each step and is slow enough to be killed between two. */
async function trainSlowly(folder: string): Promise<void> {
  const wait = new Int32Array(new SharedArrayBuffer(4))
  const signal = abortAfter(12, (step) => {
    process.stdout.write(`step ${step};`)
    Atomics.wait(wait, 0, 0, 50)
  })
  await run(await openGpu(), folder, tinyConfig(), { signal })
}

if (scenario.length > 0) await trainSlowly(scenario[0]!)
else {
  const gpu = await openGpu()
  const straight = path.join(temporaryFolder(), 'straight')
  let idle = 0

  test.before(async () => {
    const { model, reused } = await run(gpu, straight, tinyConfig())
    assert.is(reused, false)
    model.parameters.release()
    idle = gpu.memory().live
  })
  test.after(() => gpu.close())

  test('a run writes what its folder promises', async () => {
    const names = ['checkpoints', 'config.toml', 'log.txt', 'metrics.jsonl', 'weights.safetensors']
    assert.equal(readdirSync(straight).sort(), names)
    const checkpoints = readdirSync(path.join(straight, 'checkpoints'))
    assert.equal(checkpoints.sort(), ['00010.safetensors', '00012.safetensors'])
    const { metrics, weights } = await remains(straight)
    const lines = (metrics as string)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(
      lines.filter((line) => 'lr' in line).map(({ step }) => step),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    )
    assert.equal(
      lines.filter((line) => 'epoch' in line).map(({ epoch, step }) => [epoch, step]),
      [1, 2, 3, 4, 5, 6].map((epoch) => [epoch, 2 * epoch]),
    )
    assert.is(Object.keys(weights as object).length, 320)
  })

  test('interrupted in the middle of an epoch and resumed, it ends in the same bits', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    for (const [after, first] of [
      [5, 0],
      [3, 5],
    ] as const) {
      const error = await thrown(() =>
        run(gpu, folder, tinyConfig(), { signal: abortAfter(after) }),
      )
      assert.instance(error, TrainingInterrupted)
      assert.is((error as TrainingInterrupted).step, first + after)
      assert.is(gpu.memory().live, idle, 'what the interrupted run held is given back')
    }
    assert.not.ok(existsSync(path.join(folder, 'weights.safetensors')))
    const { model } = await run(gpu, folder, tinyConfig())
    model.parameters.release()
    assert.equal(await remains(folder), await remains(straight))
  })

  test('killed while it runs, it ends in the same bits', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    const end = await runAgain([folder], {
      onOutput: (stdout, child) => {
        if (stdout.includes('step 7;')) child.kill('SIGKILL')
      },
    })
    assert.is(end.signal, 'SIGKILL', end.stderr)
    assert.not.ok(existsSync(path.join(folder, 'weights.safetensors')))
    // What a kill in the middle of a write leaves.
    const halfWritten = path.join(folder, 'checkpoints/00006.safetensors.3141592653')
    writeFileSync(halfWritten, 'half')
    const { model } = await run(gpu, folder, tinyConfig())
    model.parameters.release()
    assert.not.ok(existsSync(halfWritten))
    assert.match(readFileSync(path.join(folder, 'log.txt'), 'utf8'), /resumed after step [46]\n/)
    assert.equal(await remains(folder), await remains(straight))
  })

  test('killed between metrics and checkpoint, it drops the lines that it takes again', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    await thrown(() => run(gpu, folder, tinyConfig(), { signal: abortAfter(5) }))
    const file = path.join(folder, 'metrics.jsonl')
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"step":6,"loss":7,"lr":8}\n`)
    const { model } = await run(gpu, folder, tinyConfig())
    model.parameters.release()
    assert.equal(await remains(folder), await remains(straight))
  })

  test('a finished run is reused', async () => {
    const before = await remains(straight)
    const dispatched = gpu.memory().bindGroups
    const { model, reused, metrics, seconds } = await run(gpu, straight, tinyConfig())
    assert.is(reused, true)
    assert.is(gpu.memory().bindGroups, dispatched, 'nothing is computed')
    assert.is(metrics.length, 18)
    assert.ok(seconds > 0)
    const { tensors } = await readSafetensors(path.join(straight, 'weights.safetensors'))
    const [parameter] = model.parameters.parameters
    const values = await gpu.read(parameter!.value.value)
    const stored = tensors.get('conv1.weight')!.data as Float32Array
    assert.equal([...values].sort(), [...stored].sort())
    model.parameters.release()
    assert.equal(await remains(straight), before)
  })

  test('another configuration starts afresh, and leaves files that are no run alone', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    await thrown(() => run(gpu, folder, tinyConfig({ seed: 2 }), { signal: abortAfter(4) }))
    writeFileSync(path.join(folder, 'notes.txt'), 'of the user')
    const { model } = await run(gpu, folder, tinyConfig())
    model.parameters.release()
    assert.equal(await remains(folder), await remains(straight))
    assert.is(readFileSync(path.join(folder, 'notes.txt'), 'utf8'), 'of the user')
  })

  test('a truncated checkpoint or weights file is named', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    await thrown(() => run(gpu, folder, tinyConfig(), { signal: abortAfter(5) }))
    const checkpoint = path.join(folder, 'checkpoints/00005.safetensors')
    truncateSync(checkpoint, 100_000)
    const error = await thrown(() => run(gpu, folder, tinyConfig()))
    assert.match(error.message, checkpoint)
    assert.match(error.message, 'truncated')
    assert.is(gpu.memory().live, idle)
    const weights = path.join(folder, 'weights.safetensors')
    writeFileSync(weights, '')
    assert.match((await thrown(() => run(gpu, folder, tinyConfig()))).message, weights)
  })

  test('a folder that can not be a run folder is named and left as it is', async () => {
    const parent = temporaryFolder()
    const file = path.join(parent, 'file')
    writeFileSync(file, 'of the user')
    const foreign = path.join(temporaryFolder(), 'weights.safetensors')
    writeFileSync(foreign, 'of the user')
    const config = path.join(temporaryFolder(), 'config.toml')
    writeFileSync(config, 'title = "of the user"')
    const cases: [string, RegExp][] = [
      [file, /cannot be used as a run folder: it is a file$/],
      [path.join(file, 'run'), /cannot be used as a run folder: a part of its path is a file/],
      [path.dirname(foreign), /it holds weights.safetensors but no config.toml$/],
      [path.dirname(config), /its config.toml is not that of a training run$/],
    ]
    const { created } = gpu.memory()
    for (const [folder, message] of cases) {
      const error = await thrown(() => run(gpu, folder, tinyConfig()))
      assert.ok(error.message.startsWith(folder), error.message)
      assert.match(error.message, message)
    }
    assert.is(gpu.memory().created, created, 'before any work on the device')
    assert.equal(readdirSync(parent), ['file'])
    for (const kept of [file, foreign]) assert.is(readFileSync(kept, 'utf8'), 'of the user')
    assert.is(readFileSync(config, 'utf8'), 'title = "of the user"')
  })

  test('an option out of range is named before anything is written or computed', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    const wrong: [Partial<TrainConfig>, string][] = [
      [{ width: 0 }, 'width is 0'],
      [{ width: -1 }, 'width is -1'],
      [{ batch: 21 }, 'batch is 21, expected at most the 20 training images'],
      [{ batch: 1 }, 'batch is 1, expected at least 2: batch normalisation'],
      [{ batch: 2.5 }, 'batch is 2.5'],
      [{ lr: 0 }, 'lr is 0'],
      [{ lr: Number.NaN }, 'lr is NaN'],
      [{ steps: 0 }, 'steps is 0'],
      [{ seed: -1 }, 'seed is -1'],
      [{ momentum: 1 }, 'momentum is 1'],
      [{ weightDecay: -1 }, 'weightDecay is -1'],
      [{ warmupSteps: 13 }, 'warmupSteps is 13'],
      [{ schedule: 'linear' as 'cosine' }, 'schedule is linear'],
      [{ trainImages: 21 }, 'trainImages is 21'],
    ]
    const before = gpu.memory()
    for (const [changes, message] of wrong)
      assert.match((await thrown(() => run(gpu, folder, tinyConfig(changes)))).message, message)
    assert.equal(gpu.memory(), before)
    assert.not.ok(existsSync(folder))
  })

  test('a loss that is no longer finite ends the run, naming objective and step', async () => {
    const folder = path.join(temporaryFolder(), 'run')
    const error = await thrown(() => run(gpu, folder, tinyConfig({ lr: 1e30 })))
    assert.match(error.message, /^softmax: .*\bstep [23]\b.* a lower lr/)
    assert.is(gpu.memory().live, idle)
    assert.not.ok(existsSync(path.join(folder, 'weights.safetensors')))
  })

  test('a device that is lost during training rejects with GpuDeviceLostError', async () => {
    const own = await openGpu()
    const signal = abortAfter(12, (step) => {
      if (step === 3) own.device.destroy()
    })
    const folder = path.join(temporaryFolder(), 'run')
    const error = await thrown(() => run(own, folder, tinyConfig(), { signal }))
    assert.instance(error, GpuDeviceLostError)
    own.close()
  })

  test.run()
}
