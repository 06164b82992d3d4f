import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { convolve } from '../../src/autograd/convolution.ts'
import { convolutionClass, convolutionPasses } from '../../src/autograd/convolutionVariant.ts'
import { convolutionShape } from '../../src/autograd/ops/conv2d.ts'
import { sampleConvolution } from '../../src/bench/convolutionSamples.ts'
import { resnetShapes, tuneConvolutions } from '../../src/bench/tuneConvolutions.ts'
import { Progress } from '../../src/cli/progress.ts'
import { choicesOf, tuneAtFirstUse } from '../../src/cli/tuneAtFirstUse.ts'
import { readTuning, tuningFile, writeTuning } from '../../src/cli/tuningCache.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { hashValues } from '../../src/selfTest/reference/compare.ts'
import {
  convolutionBackwardData,
  convolutionBackwardWeights,
  convolutionForward,
} from '../../src/selfTest/reference/convolution.ts'
import { runCli, temporaryFolder } from '../cli/runCli.ts'

test('drawn elements are those of the whole convolution', () => {
  const shape = convolutionShape([3, 7, 5, 4], [3, 2, 4, 6], {
    stride: [2, 1],
    padding: 1,
    dilation: [1, 2],
  })
  const host = {
    x: hashValues(3 * 7 * 5 * 4, 1),
    w: hashValues(3 * 2 * 4 * 6, 2),
    dy: hashValues(3 * shape.outHeight * shape.outWidth * 6, 3),
  }
  const [x, w, dy] = [host.x, host.w, host.dy].map((v) => Float64Array.from(v)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const whole = {
    forward: convolutionForward(shape, x, w),
    'backward-data': convolutionBackwardData(shape, dy, w),
    'backward-weights': convolutionBackwardWeights(shape, x, dy),
  }
  for (const pass of convolutionPasses) {
    const samples = sampleConvolution(pass, shape, host)
    assert.ok(new Set(samples.map(([index]) => index)).size > 20)
    // Float64 both, in different orders of up to 70 products below 1.
    for (const [index, value] of samples)
      assert.ok(Math.abs(value - whole[pass][index]!) < 1e-13, `${pass} ${index}`)
  }
})

test('every pass of every class is picked once, the costliest first; a budget cuts the rest', async () => {
  const gpu = await openGpu()
  const shapes = resnetShapes({ size: 32, batch: 2, width: 0.0625 }, 5)
  const all = new Set(shapes.flatMap((s) => convolutionPasses.map((p) => convolutionClass(p, s))))
  const heard: number[] = []
  const picked = await tuneConvolutions(gpu, shapes.slice(0, 1), {
    onProgress: (done) => heard.push(done),
  })
  assert.is(picked.length, 3)
  assert.equal(heard, [0, 1, 2, 3])
  for (const { key, ms, usualMs, candidates, wrong } of picked) {
    assert.ok(all.has(key), key)
    assert.ok(ms > 0 && ms <= usualMs, `${ms} ms, usually ${usualMs}`)
    assert.ok(candidates > 1)
    assert.equal(wrong, [], 'a variant that changes bits')
  }
  const few = await tuneConvolutions(gpu, shapes, { budget: 1 })
  assert.is(few.length, 1)
  const largest = await tuneConvolutions(gpu, [shapes[0]!, shapes.at(-1)!], { budget: 1 })
  assert.is(largest[0]!.shape, picked[0]!.shape)
  gpu.close()
})

test('a choice decides what a convolution runs, and changes no bit', async () => {
  const gpu = await openGpu()
  const shape = convolutionShape([2, 4, 4, 32], [3, 3, 32, 32], { padding: 1 })
  const x = gpu.upload('f32', [2, 4, 4, 32], hashValues(1024, 1))
  const w = gpu.upload('f32', [3, 3, 32, 32], hashValues(9216, 2))
  const run = async () => {
    const y = gpu.empty('f32', [2, 4, 4, 32])
    const { program } = await gpu.record(() => convolve(gpu, shape, { x, w, y }))
    program.run()
    return { signature: program.signature, values: await gpu.read(y) }
  }
  const usual = await run()
  gpu.choices = { [convolutionClass('forward', shape)]: { narrow: true } }
  const tuned = await run()
  assert.is.not(tuned.signature, usual.signature)
  assert.equal(tuned.values, usual.values)
  gpu.close()
})

async function withCache(body: (folder: string) => Promise<void>): Promise<void> {
  const before = process.env.GRAMGRAD_CACHE
  const folder = await temporaryFolder()
  process.env.GRAMGRAD_CACHE = folder
  try {
    await body(folder)
  } finally {
    if (before === undefined) delete process.env.GRAMGRAD_CACHE
    else process.env.GRAMGRAD_CACHE = before
  }
}

test('a tuning is kept for its device; a damaged or foreign one is ignored with a line', () =>
  withCache(async () => {
    const gpu = await openGpu()
    const { profile } = gpu
    const lines: string[] = []
    const read = () => readTuning(profile, (line) => lines.push(line))
    assert.is(await read(), undefined)
    await writeTuning(profile, { a: { narrow: true } })
    const file = await writeTuning(profile, { b: { lanes: 64 }, a: {} })
    assert.equal(await read(), { a: {}, b: { lanes: 64 } })
    assert.equal(lines, [])
    const text = await readFile(file, 'utf8')
    for (const damaged of ['', text.slice(0, 40), text.replace('64', '65'), 'null']) {
      await writeFile(file, damaged)
      assert.is(await read(), undefined, damaged)
    }
    const { device } = JSON.parse(text)
    const foreign = { device: { ...device, driver: 'another' }, choices: {} }
    await writeFile(file, JSON.stringify(foreign))
    assert.is(await read(), undefined)
    assert.is(lines.length, 5)
    for (const line of lines) assert.match(line, new RegExp(`^${file} is ignored: [^\n]+$`))
    assert.match(lines[4]!, 'it was made for driver another')
    gpu.close()
  }))

test('a device without a tuning is tuned at its first use, once, unless told not to', () =>
  withCache(async (folder) => {
    const gpu = await openGpu()
    const progress = new Progress(true)
    const sizes = { size: 32, batch: 1, width: 0.0625, classes: 2 }
    const tune = () => tuneAtFirstUse(gpu, sizes, progress, null)
    process.env.GRAMGRAD_TUNE = 'off'
    await tune()
    assert.equal(gpu.choices, {})
    delete process.env.GRAMGRAD_TUNE
    await tuneAtFirstUse(gpu, sizes, progress, {})
    assert.equal(gpu.choices, {}, 'a table comes with the package')
    await tune()
    assert.ok(Object.keys(gpu.choices).length > 0)
    assert.equal(await readTuning(gpu.profile, assert.unreachable), gpu.choices)
    const chosen = gpu.choices
    await tune()
    assert.is(gpu.choices, chosen)
    assert.equal(await readdir(folder), ['tuning'])
    gpu.close()
  }))

test('tune prints and keeps its choices; other commands say that they ignore a damaged file', () =>
  withCache(async () => {
    const out = path.join(await temporaryFolder(), 'choices.json')
    const tiny = ['--size', '32', '--batch', '1', '--width', '0.0625', '--seconds', '0.001']
    const end = await runCli(['tune', ...tiny, '--out', out, '--json'])
    assert.is(end.code, 0, end.stderr)
    const { device, picked, file } = JSON.parse(end.stdout)
    assert.type(device.adapter, 'string')
    assert.is(picked.length, 1)
    assert.equal(JSON.parse(await readFile(out, 'utf8')), choicesOf(picked))
    assert.equal(JSON.parse(await readFile(file, 'utf8')).choices, choicesOf(picked))
    await writeFile(file, 'damaged')
    const bench = await runCli(['bench', '--ops', 'relu', '--size', '32', '--runs', '1'])
    assert.is(bench.code, 0, bench.stderr)
    assert.match(bench.stderr, `${file} is ignored: it is damaged; gramgrad tune writes it anew\n`)
    const gpu = await openGpu()
    assert.is(tuningFile(gpu.profile), file)
    gpu.close()
    const wrong = await runCli(['tune', '--size', '8'])
    assert.is(wrong.code, 2)
  }))

test.run()
