import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runCli } from './runCli.ts'

interface Report {
  adapter: string
  backend: string
  software: boolean
  features: string[]
  limits: Record<string, number>
  selfTest: { kernel: string; ok: boolean; maxError: number }[]
}

test('doctor --json: adapter, limits and every kernel family, forward and backward', async () => {
  const end = await runCli(['doctor', '--json'])
  assert.is(end.code, 0, end.stderr)
  const report = JSON.parse(end.stdout) as Report
  assert.ok(report.adapter.length > 0)
  assert.ok(report.limits.maxStorageBufferBindingSize! >= 128 * 2 ** 20)
  const kernels = report.selfTest.map(({ kernel }) => kernel)
  for (const op of ['conv2d', 'batchNorm', 'maxPool2d', 'linear', 'softmaxCrossEntropy'])
    for (const pass of ['forward', 'backward']) assert.ok(kernels.includes(`${op} ${pass}`), op)
  for (const family of ['resize', 'sample', 'policy', 'mixup'])
    assert.ok(kernels.includes(`augmentation ${family}`), family)
  for (const { kernel, ok, maxError } of report.selfTest) {
    // Augmented images are rounded to bytes: see src/selfTest/augmentation.ts.
    const limit = kernel.startsWith('augmentation ') ? 4e-3 : 5e-5
    assert.ok(ok && maxError < limit, `${kernel}: error ${maxError}`)
  }
})

test.run()
