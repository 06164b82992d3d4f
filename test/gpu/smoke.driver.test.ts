import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { registeredOps } from '../../src/autograd/op.ts'
import '../../src/autograd/ops/index.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import { fillUniform } from '../../src/gpu/randomFill.ts'
import '../../src/losses/registry.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import { numericalDerivatives, pose, project, solve } from '../../src/selfTest/gradientHarness.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { testOps } from '../../src/selfTest/testOps.ts'

// A small suite that every driver must pass, also one with subgroups of another size: see
// scripts/test.mjs for the second driver that it runs on.

// Float32 rounding against float64: measured at most 6e-7, in batchNorm, on llvmpipe and SwiftShader
// alike. Drivers may divide and take roots less exactly.
const TOLERANCE = 1e-5

/** Gradient cases beside an op's first: those that take other paths through its kernels. */
const MORE_CASES: Readonly<Record<string, readonly number[]>> = {
  batchNorm: [1],
  conv2d: [2, 4, 6],
}

const gpu = await openGpu()
test.after(() => gpu.close())

for (const [name, op] of registeredOps())
  if (!testOps.has(name))
    test(`${name}: forward and backward agree with float64, twice with the same bits`, async () => {
      for (const index of [0, ...(MORE_CASES[name] ?? [])]) {
        const gradientCase = op.gradientCases[index]!
        const problem = await pose(gpu, op, gradientCase)
        const names = Object.keys(problem.inputs)
        const result = await solve(gpu, problem, names, 'leaf')
        const what = `${name} ${JSON.stringify(gradientCase.shapes)}`
        const forward = relativeError(result.output, problem.output.value)
        assert.ok(forward < TOLERANCE, `${what}, forward: relative error ${forward}`)
        for (const input of names) {
          const expected = numericalDerivatives(problem, input)
          const error = relativeError(project(result.gradients[input]!), expected)
          assert.ok(error < TOLERANCE, `${what}, gradient of ${input}: relative error ${error}`)
        }
        assert.equal(await solve(gpu, problem, names, 'leaf'), result, `${what}: other bits`)
      }
      assert.is(gpu.memory().live, 0, `${name} leaves arrays behind`)
    })

test('random numbers are those of the host, bit for bit', async () => {
  const array = gpu.empty('f32', [1003])
  fillUniform(gpu, array, { seed: 3, stream: streams.synthetic, step: 5 })
  const host = new RandomStream(3, streams.synthetic, 5)
  assert.equal(
    await gpu.read(array),
    Float32Array.from({ length: 1003 }, (_, i) => host.uniform(i)),
  )
  array.release()
})

test.run()
