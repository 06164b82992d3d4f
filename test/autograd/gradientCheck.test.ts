import { readdir, readFile } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type RegisteredOp, registeredOps } from '../../src/autograd/op.ts'
import '../../src/autograd/ops/index.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { openGpu } from '../../src/gpu/openGpu.ts'
import '../../src/losses/registry.ts'
import {
  type Aliases,
  evaluate,
  numericalDerivatives,
  type Placement,
  type Problem,
  pose,
  project,
  type Result,
  solve,
} from '../../src/selfTest/gradientHarness.ts'
import { relativeError } from '../../src/selfTest/reference/compare.ts'
import { references } from '../../src/selfTest/reference/references.ts'
import { testOps } from '../../src/selfTest/testOps.ts'

// Float32 rounding against float64; the finite differences add 1e-8. Measured on a software driver:
// at most 4.2e-6 in batchNorm, whose gradient is a difference of larger terms, 2.4e-7 elsewhere.
const TOLERANCE = 2e-5

const ops = [...registeredOps()].filter(([name]) => !testOps.has(name))

function subsets(names: readonly string[]): string[][] {
  return Array.from({ length: 2 ** names.length - 1 }, (_, i) =>
    names.filter((_, bit) => ((i + 1) >> bit) & 1),
  )
}

function checkResult(
  problem: Problem,
  wanted: readonly string[],
  expected: Readonly<Record<string, Float64Array>>,
  { output, gradients }: Result,
  what: string,
): void {
  const error = relativeError(output, problem.output.value)
  assert.ok(error < TOLERANCE, `${what}, forward: relative error ${error}`)
  for (const name of Object.keys(problem.inputs)) {
    const gradient = gradients[name]
    if (!wanted.includes(problem.aliases[name] ?? name)) {
      assert.is(gradient, undefined, `${what}: a gradient of ${name} was computed`)
      continue
    }
    assert.ok(gradient, `${what}: no gradient of ${name}`)
    const error = relativeError(project(gradient), expected[name]!)
    assert.ok(error < TOLERANCE, `${what}, gradient of ${name}: relative error ${error}`)
  }
}

/** Checks one gradient case with each set of inputs that want a gradient, wherever they come from. */
async function checkCase(
  gpu: Gpu,
  op: RegisteredOp,
  gradientCase: RegisteredOp['gradientCases'][number],
  aliases: Aliases = {},
): Promise<void> {
  const problem = await pose(gpu, op, gradientCase, aliases)
  const shared = Object.entries(aliases).map(([b, a]) => `, ${b} = ${a}`)
  const label = `${op.opName} ${JSON.stringify(gradientCase.shapes)}${shared.join('')}`
  const names = Object.keys(problem.inputs).filter((name) => !aliases[name])
  const expected = Object.fromEntries(names.map((n) => [n, numericalDerivatives(problem, n)]))
  for (const [b, a] of Object.entries(aliases)) expected[b] = expected[a]!
  assert.equal(
    await evaluate(gpu, problem),
    (await solve(gpu, problem, names, 'leaf')).output,
    `${label}: without gradients the output differs`,
  )
  const placements: Placement[] = ['computed', 'leaf', 'slot']
  for (const placement of placements)
    for (const wanted of subsets(names)) {
      const what = `${label}, ${placement}, gradients of ${wanted.join(' ')}`
      const result = await solve(gpu, problem, wanted, placement)
      checkResult(problem, wanted, expected, result, what)
      if (wanted.length < names.length) continue
      const again = await solve(gpu, problem, wanted, placement)
      assert.equal(again, result, `${what}: not the same bits when repeated`)
    }
}

test('every op that the sources define is registered, and the ops folder holds nothing else', async () => {
  const source = new URL('../src/', import.meta.url)
  const index = await readFile(new URL('autograd/ops/index.ts', source), 'utf8')
  for (const file of await readdir(source, { recursive: true })) {
    const name = file.replaceAll('\\', '/')
    if (!name.endsWith('.ts') || name === 'autograd/op.ts') continue
    const text = await readFile(new URL(name, source), 'utf8')
    const defined = text.match(/\bdefineOp</g)?.length ?? 0
    const names = [...text.matchAll(/^ {2}name: '([\w.]+)',\n {2}gradientCases/gm)].map(
      ([, n]) => n!,
    )
    assert.is(names.length, defined, `${name}: ${defined} ops, but the names found are ${names}`)
    for (const op of names) assert.ok(registeredOps().has(op), `${name}: ${op} is not registered`)
    const opFile = /^autograd\/ops\/(.*)$/.exec(name)?.[1]
    if (!opFile || opFile === 'index.ts') continue
    assert.ok(defined > 0, `${name} defines no op`)
    assert.ok(index.includes(`import './${opFile}'`), `index.ts does not import ${opFile}`)
  }
})

for (const [name, op] of ops)
  test(`${name}: forward and gradients agree with float64`, async () => {
    assert.ok(references[name], `${name} has no reference in test/reference/references.ts`)
    assert.ok(op.gradientCases.length > 0, `${name} has no gradient cases`)
    const gpu = await openGpu()
    for (const gradientCase of op.gradientCases) {
      await checkCase(gpu, op, gradientCase)
      for (const aliases of sharings(gradientCase.shapes))
        await checkCase(gpu, op, gradientCase, aliases)
    }
    assert.is(gpu.memory().live, 0, `${name} leaves arrays behind`)
    gpu.close()
  })

/** Each way to pass one tensor for two inputs. */
function sharings(shapes: Readonly<Record<string, readonly number[] | undefined>>): Aliases[] {
  const entries = Object.entries(shapes)
  return entries.flatMap(([b, shapeB], i) =>
    entries
      .slice(0, i)
      .filter(([, shapeA]) => `${shapeA}` === `${shapeB}`)
      .map(([a]) => ({ [b]: a })),
  )
}

test.run()
