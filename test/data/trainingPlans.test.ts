import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluationPlan } from '../../src/data/augment/evaluationPlan.ts'
import { drawMixing, mixTargets } from '../../src/data/augment/mixup.ts'
import { drawPolicy, IMAGENET_POLICY, policyStep } from '../../src/data/augment/policy.ts'
import { proposeCrop, randomResizedCrop, roundHalfEven } from '../../src/data/augment/randomCrop.ts'
import { TrainingPlans } from '../../src/data/augment/trainingPlans.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'
import { torchvisionCrops } from './augmentFixtures.ts'

const DRAWS = 100_000
const AREA = [0.1, 1] as const
const LOG_ASPECT = [Math.log(0.75), Math.log(4 / 3)] as const

/** Largest distance of an empirical distribution from the uniform one (Kolmogorov, Smirnov). */
function distanceFromUniform(draws: number[], [low, high]: readonly [number, number]): number {
  const n = draws.length
  const sorted = Float64Array.from(draws).sort()
  return sorted.reduce((most, value, i) => {
    const share = (value - low) / (high - low)
    return Math.max(most, Math.abs(share - i / n), Math.abs(share - (i + 1) / n))
  }, 0)
}

// Kolmogorov-Smirnov at a level of 0.1 %: the critical distance is 1.95 / sqrt(n). The seed is fixed,
// so the test always gives the same answer.
test('areas and log aspects of 100,000 draws are uniform, and independent', () => {
  const random = new RandomStream(11, streams.augment, 0)
  const size = { height: 500, width: 500 }
  const proposals = Array.from({ length: DRAWS }, (_, i) => proposeCrop(random, 64 * i, size))
  const areas = proposals.map(({ area }) => area)
  const aspects = proposals.map(({ logAspect }) => logAspect)
  const critical = 1.95 / Math.sqrt(DRAWS)
  assert.ok(distanceFromUniform(areas, AREA) < critical)
  assert.ok(distanceFromUniform(aspects, LOG_ASPECT) < critical)
  // The mean log aspect is 0 within four standard errors: drawn linearly it would be 0.013.
  const mean = aspects.reduce((sum, a) => sum + a, 0) / DRAWS
  assert.ok(Math.abs(mean) < (4 * (LOG_ASPECT[1] - LOG_ASPECT[0])) / Math.sqrt(12 * DRAWS))
  const centred = areas.map((area, i) => (area - 0.55) * aspects[i]!)
  const spread = ((0.9 * (LOG_ASPECT[1] - LOG_ASPECT[0])) / 12) * Math.sqrt(DRAWS)
  assert.ok(Math.abs(centred.reduce((sum, c) => sum + c, 0)) < 4 * spread)
})

/** Chi-square of two samples of equal size over bins; with its degrees of freedom. */
function twoSamples(a: readonly number[], b: readonly number[]) {
  let statistic = 0
  let freedom = -1
  for (const [i, x] of a.entries()) {
    const both = x + b[i]!
    if (both === 0) continue
    statistic += (x - b[i]!) ** 2 / both
    freedom++
  }
  return { statistic, freedom }
}

for (const { size, area, logAspect } of torchvisionCrops)
  test(`accepted boxes of ${size} are distributed as torchvision's`, () => {
    const [height, width] = size
    const random = new RandomStream(12, streams.augment, 0)
    const counts = { area: new Array(20).fill(0), logAspect: new Array(20).fill(0) }
    const bin = (value: number, [low, high]: readonly [number, number]) =>
      Math.min(19, Math.max(0, Math.floor(((value - low) / (high - low)) * 20)))
    for (let i = 0; i < DRAWS; i++) {
      const box = randomResizedCrop(random, 64 * i, { height, width })
      counts.area[bin((box.height * box.width) / (height * width), AREA)]++
      counts.logAspect[bin(Math.log(box.width / box.height), LOG_ASPECT)]++
    }
    // Pearson's chi-square for two samples at a level of about 0.1 %: f + 3.3 sqrt(2 f) + 4.
    for (const [ours, theirs] of [
      [counts.area, area],
      [counts.logAspect, logAspect],
    ] as const) {
      const { statistic, freedom } = twoSamples(ours, theirs)
      assert.ok(statistic < freedom + 3.3 * Math.sqrt(2 * freedom) + 4, `${statistic}, ${freedom}`)
    }
  })

test('boxes are inside, of every corner, and fall back where none fits', () => {
  const random = new RandomStream(1, streams.augment, 0)
  const sides = { top: false, left: false, bottom: false, right: false }
  for (let i = 0; i < 2000; i++) {
    const { top, left, height, width } = randomResizedCrop(random, 64 * i, { height: 9, width: 7 })
    assert.ok(top >= 0 && left >= 0 && height > 0 && width > 0)
    assert.ok(top + height <= 9 && left + width <= 7)
    sides.top ||= top === 0
    sides.left ||= left === 0
    sides.bottom ||= top + height === 9
    sides.right ||= left + width === 7
  }
  assert.equal(sides, { top: true, left: true, bottom: true, right: true })
  // Far from the allowed aspects: the widest box of 4/3, and of 3/4, in the centre.
  const whole = { area: [1, 1] as const }
  assert.equal(randomResizedCrop(random, 0, { height: 30, width: 301 }, whole), {
    top: 0,
    left: 130,
    height: 30,
    width: 40,
  })
  assert.equal(randomResizedCrop(random, 0, { height: 301, width: 30 }, whole), {
    top: 130,
    left: 0,
    height: 40,
    width: 30,
  })
  // Exactly the area of the image and another aspect never fits: the image itself.
  const square = { area: [1, 1] as const, aspect: [0.9, 1.1] as const }
  const box = randomResizedCrop(random, 64, { height: 1000, width: 1000 }, square)
  assert.equal(box, { top: 0, left: 0, height: 1000, width: 1000 })
})

test("halves are rounded to even, as Python's round", () => {
  assert.equal([0.5, 1.5, 2.5, 2.4, 2.6, -0.5].map(roundHalfEven), [0, 2, 2, 2, 3, -0])
})

test('a plan is a function of seed, epoch and example', () => {
  const input = { height: 32, width: 32 }
  const plans = new TrainingPlans(input, 5, { autoAugment: true })
  const size = { height: 50, width: 60 }
  const [a, b] = [plans.plan(size, 7, 3), plans.plan(size, 8, 3)]
  assert.equal(new TrainingPlans(input, 5, { autoAugment: true }).plan(size, 7, 3), a)
  assert.not.equal(b, a)
  assert.not.equal(plans.plan(size, 7, 4), a)
  assert.not.equal(new TrainingPlans(input, 6, { autoAugment: true }).plan(size, 7, 3), a)
  // Drawing the policy shifts no other draw.
  const { policy: _, ...rest } = a
  const { policy: __, ...without } = new TrainingPlans(input, 5).plan(size, 7, 3)
  assert.equal(without, rest)
})

test('half of the images are mirrored, and the share asked for', () => {
  for (const flip of [0, 0.5, 0.9, 1]) {
    const plans = new TrainingPlans({ height: 8, width: 8 }, 2, { flip })
    const size = { height: 8, width: 8 }
    const count = Array.from({ length: 4000 }, (_, i) => plans.plan(size, i, 0).flip).filter(
      Boolean,
    ).length
    // Five standard deviations of the binomial.
    assert.ok(Math.abs(count - 4000 * flip) <= 5 * Math.sqrt(4000 * flip * (1 - flip)))
  }
})

test('pad: windows up to `padding` outside on every side; none: the centre, never mirrored', () => {
  const input = { height: 32, width: 32 }
  const pad = new TrainingPlans(input, 2, { crop: 'pad', padding: 4 })
  const firsts = Array.from({ length: 3000 }, (_, i) => pad.plan(input, i, 0).first)
  for (const axis of ['y', 'x'] as const) {
    const values = new Set(firsts.map((first) => first[axis]))
    assert.equal(
      [...values].sort((a, b) => a - b),
      [-4, -3, -2, -1, 0, 1, 2, 3, 4],
    )
  }
  const none = new TrainingPlans(input, 2, { crop: 'none' })
  for (let i = 0; i < 50; i++) {
    const plan = none.plan({ height: 28, width: 29 }, i, 0)
    assert.equal([plan.first, plan.flip], [{ y: -2, x: -1 }, false])
  }
})

test('options out of range are refused by name', () => {
  const refuse = (options: ConstructorParameters<typeof TrainingPlans>[2], message: RegExp) =>
    assert.throws(() => new TrainingPlans({ height: 8, width: 8 }, 0, options), message)
  refuse({ area: [0, 1] }, /^area is 0 to 1, expected 0 < low <= high <= 1$/)
  refuse({ area: [0.5, 1.1] }, /^area is 0\.5 to 1\.1, /)
  refuse({ aspect: [2, 1] }, /^aspect is 2 to 1, expected 0 < low <= high$/)
  refuse({ flip: 1.5 }, /^flip is 1\.5, expected 0 to 1$/)
  refuse({ padding: -1 }, /^padding is -1, /)
  refuse({ crop: 'middle' as 'pad' }, /^crop is 'middle', expected random-resized, pad or none$/)
})

test('evaluation: resize and crop to the numbers of torchvision and of the paper', () => {
  const input = { height: 224, width: 224 }
  const plan = evaluationPlan({ height: 375, width: 500 }, input)
  assert.equal(plan.resized, { height: 256, width: 341 })
  // 117 / 2 = 58.5: to even.
  assert.equal(plan.first, { y: 16, x: 58 })
  const paper = evaluationPlan({ height: 375, width: 500 }, input, { style: 'paper' })
  assert.equal(paper.box, { top: 24, left: 86, height: 328, width: 328 })
  // Transfer features (A.2): the largest square.
  const whole = evaluationPlan({ height: 300, width: 300 }, input, { style: 'paper', resize: 224 })
  assert.equal(whole.box, { top: 0, left: 0, height: 300, width: 300 })
  assert.throws(
    () => evaluationPlan({ height: 9, width: 9 }, { height: 8, width: 9 }, { style: 'paper' }),
    /^the input is 8 x 9, expected a square/,
  )
})

test('the policy: 25 pairs, posterize keeps 4 to 8 bits, probability 0 is never', () => {
  assert.is(IMAGENET_POLICY.length, 25)
  const bits = Array.from({ length: 10 }, (_, m) => policyStep('posterize', m, 1)).map((step) =>
    step.op === 'posterize' ? step.bits : 0,
  )
  assert.equal(bits, [8, 8, 7, 7, 6, 6, 5, 5, 4, 4])
  const random = new RandomStream(3, streams.augment, 0)
  const drawn = Array.from({ length: 50_000 }, (_, i) => drawPolicy(random, 64 * i))
  const count = (op: string) => drawn.flat().filter((step) => step.op === op).length
  const expected = new Map<string, number>()
  for (const [op, probability] of IMAGENET_POLICY.flat()) {
    expected.set(op, (expected.get(op) ?? 0) + (50_000 / 25) * probability)
  }
  // Five standard deviations of a Poisson count, which is wider than the true one.
  for (const [op, mean] of expected) assert.ok(Math.abs(count(op) - mean) < 5 * Math.sqrt(mean), op)
  const turns = drawn.flat().filter((step) => step.op === 'rotate')
  const left = turns.filter(({ degrees }) => degrees > 0).length
  assert.ok(Math.abs(left - turns.length / 2) < 2.5 * Math.sqrt(turns.length), 'signs')
})

test('Mixup: Beta(alpha, alpha), a permutation, targets mixed with the same', () => {
  for (const alpha of [0.1, 0.2, 0.4, 1, 2.5]) {
    const n = 20_000
    const lambdas = Array.from({ length: n }, (_, step) => drawMixing(alpha, 1, 4, step).lambda)
    const mean = lambdas.reduce((sum, l) => sum + l, 0) / n
    const variance = lambdas.reduce((sum, l) => sum + (l - 0.5) ** 2, 0) / n
    // Var = 1 / (4 (2 alpha + 1)); its estimate's standard error is below Var / sqrt(n) here.
    const expected = 1 / (4 * (2 * alpha + 1))
    assert.ok(Math.abs(mean - 0.5) < 5 * Math.sqrt(expected / n), `alpha ${alpha}: mean ${mean}`)
    assert.ok(
      Math.abs(variance - expected) < (5 * expected) / Math.sqrt(n),
      `alpha ${alpha}: variance ${variance}, expected ${expected}`,
    )
    assert.ok(lambdas.every((lambda) => lambda >= 0 && lambda <= 1))
  }
  const mixing = drawMixing(0.2, 6, 1, 9)
  assert.equal(drawMixing(0.2, 6, 1, 9), mixing)
  assert.equal([...mixing.partners].sort(), [0, 1, 2, 3, 4, 5])
  const targets = mixTargets(Uint32Array.of(0, 1, 1), 3, {
    lambda: 0.75,
    partners: Uint32Array.of(1, 2, 0),
  })
  assert.equal([...targets], [0.75, 0.25, 0, 0, 1, 0, 0.25, 0.75, 0])
  assert.throws(() => drawMixing(0, 2, 1, 0), /^alpha is 0, expected a positive number$/)
})

test.run()
