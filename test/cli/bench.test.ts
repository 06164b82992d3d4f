import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ResNet } from '../../src/nn/resnet.ts'
import { runCli } from './runCli.ts'

interface Row {
  op: string
  shape: string
  pass: string
  ms: number
  gflops?: number
  gbps?: number
  percentOfPeak: number
  copyMs?: number
  ratioToCopy?: number
  arithmeticMs?: number
  ratioToArithmetic?: number
}

interface Report {
  device: { adapter: string }
  ceilings: { fma: { gflops: number }; copy: { gbps: number } }
  rows: Row[]
  means: { op: string; pass: string; gflops: number; percentOfPeak: number }[]
}

const TINY = ['--size', '32', '--batch', '2', '--width', '0.0625', '--runs', '1']

test('bench --json: ceilings, and rows of every family in its own unit', async () => {
  const ops = 'losses,conv,batch-norm,relu,add,pool,sgd,reduce,gram'
  const end = await runCli(['bench', '--json', '--ops', ops, ...TINY])
  assert.is(end.code, 0, end.stderr)
  const { device, ceilings, rows, means } = JSON.parse(end.stdout) as Report
  assert.ok(device.adapter.length > 0)
  assert.ok(ceilings.fma.gflops > 0 && ceilings.copy.gbps > 0)
  for (const op of ops.split(','))
    assert.ok(
      rows.some((row) => row.op === op),
      op,
    )
  for (const row of rows) {
    const name = `${row.op} ${row.shape} ${row.pass}`
    assert.ok(row.ms > 0 && row.percentOfPeak > 0, name)
    assert.is((row.gflops ?? 0) > 0, row.gbps === undefined, `${name}: one rate`)
    assert.is(row.ratioToCopy === undefined, row.gbps === undefined, `${name}: a copy beside`)
  }
  const convolutions = rows.filter(({ op }) => op === 'conv')
  for (const pass of ['forward', 'backward-data', 'backward-weights']) {
    const flops = convolutions.filter((row) => row.pass === pass).map((row) => row.gflops!)
    // Every shape has all three passes.
    assert.is(flops.length, new Set(convolutions.map(({ shape }) => shape)).size)
    const mean = means.find((one) => one.op === 'conv' && one.pass === pass)!
    const expected = Math.exp(flops.reduce((sum, f) => sum + Math.log(f), 0) / flops.length)
    assert.ok(Math.abs(mean.gflops / expected - 1) < 1e-9, 'a geometric mean, up to rounding')
  }
  // One sample: ratios of medians and medians of ratios are the same.
  for (const row of rows.filter(({ op, gbps }) => op === 'losses' && gbps)) {
    const [copies, arithmetics] = [row.ms / row.copyMs!, row.ms / row.arithmeticMs!]
    assert.ok(Math.abs(row.ratioToCopy! / copies - 1) < 1e-9, row.shape)
    assert.ok(Math.abs(row.ratioToArithmetic! / arithmetics - 1) < 1e-9, row.shape)
    assert.ok(Math.abs((row.percentOfPeak * Math.min(copies, arithmetics)) / 100 - 1) < 1e-9)
  }
})

test('bench --both compares each pass with and without index clamping', async () => {
  const args = ['bench', '--ops', 'relu,matmul', '--both', ...TINY]
  const end = await runCli([...args, '--json'])
  assert.is(end.code, 0, end.stderr)
  const { rows, unclamped } = JSON.parse(end.stdout) as Report & {
    unclamped: { shape: string; ms: number; unclampedMs: number }[]
  }
  assert.equal(
    unclamped.map(({ shape, ms }) => [shape, ms]),
    rows.map(({ shape, ms }) => [shape, ms]),
  )
  for (const { ms, unclampedMs } of unclamped) assert.ok(unclampedMs > 0 && unclampedMs !== ms)
  const text = await runCli(args)
  assert.match(text.stdout, /Geometric means of the ratios: matmul: \d\.\d\d, relu: \d\.\d\d\n/)
})

interface ModelReport {
  step: Record<'ms' | 'hostMs' | 'dispatches' | 'submissions', number> &
    Record<'bindGroupsCreated' | 'buffersCreated' | 'pipelinesCreated', number>
  kernels?: { kernel: string; ms: number; dispatches: number; share: number }[]
  memory: Record<
    | 'peakBytes'
    | 'liveBytes'
    | 'weightBytes'
    | 'gradientBytes'
    | 'momentumBytes'
    | 'savedBytes'
    | 'ratio',
    number
  >
  coldStart: { coldSeconds: number; warmSeconds: number }
}

test('bench --model --json: a step, its kernels, its memory and first steps', async () => {
  const args = ['--model', 'resnet18', '--classes', '10', ...TINY]
  const end = await runCli(['bench', '--json', ...args])
  assert.is(end.code, 0, end.stderr)
  const { step, kernels, memory, coldStart } = JSON.parse(end.stdout) as ModelReport
  assert.ok(step.ms > 0 && step.hostMs > 0 && step.submissions >= 1)
  assert.is(step.bindGroupsCreated + step.buffersCreated + step.pipelinesCreated, 0)
  if (kernels) {
    const sum = (name: 'dispatches' | 'share') => kernels.reduce((total, k) => total + k[name], 0)
    assert.is(sum('dispatches'), step.dispatches)
    assert.ok(Math.abs(sum('share') - 1) < 1e-9, 'shares add up to 1, up to rounding')
  }
  const { weightBytes, gradientBytes, momentumBytes, savedBytes, liveBytes } = memory
  const { parameters } = new ResNet({ arch: 'resnet18', classes: 10, width: 0.0625 })
  // Each parameter starts at a multiple of 256 bytes.
  const padding = weightBytes - 4 * parameters.count
  assert.ok(padding >= 0 && padding < 256 * parameters.parameters.length, `${padding}`)
  assert.is(momentumBytes, weightBytes)
  assert.is(gradientBytes, weightBytes)
  assert.ok(savedBytes > 2 * 32 * 32 * 3 * 4, 'more than the images')
  assert.is(liveBytes, weightBytes + gradientBytes + momentumBytes + savedBytes)
  assert.ok(memory.peakBytes >= liveBytes && memory.ratio >= 1)
  assert.ok(coldStart.coldSeconds > 0 && coldStart.warmSeconds > 0)
})

test('bench refuses an unknown operation as wrong usage, naming it', async () => {
  const end = await runCli(['bench', '--ops', 'conv,fft'])
  assert.is(end.code, 2)
  assert.match(end.stderr, /fft/)
  assert.is(end.stdout, '')
})

test.run()
