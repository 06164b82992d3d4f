import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { philox4x32 } from '../../src/random/philox.ts'
import { RandomStream } from '../../src/random/randomStream.ts'
import { streams } from '../../src/random/streams.ts'

// Every seed below is fixed, so a statistical test can't fail by chance: a bound of five standard
// errors says what a correct generator keeps for all but one seed in 1.7 million.
const SIGMAS = 5

function draws(n: number, draw: (index: number) => number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => draw(i))
}

function moment(values: Float64Array, power: number): number {
  return values.reduce((sum, value) => sum + value ** power, 0) / values.length
}

function near(got: number, expected: number, standardError: number, what: string): void {
  const sigmas = Math.abs(got - expected) / standardError
  assert.ok(sigmas < SIGMAS, `${what}: ${got}, expected ${expected}, ${sigmas} standard errors off`)
}

function chiSquare(counts: Iterable<number>, expected: number): number {
  let sum = 0
  for (const count of counts) sum += (count - expected) ** 2 / expected
  return sum
}

/** Chi-square has mean k and variance 2k. */
function assertUniform(counts: ArrayLike<number>, total: number, what: string): void {
  const freedom = counts.length - 1
  const value = chiSquare(Array.from(counts), total / counts.length)
  near(value, freedom, Math.sqrt(2 * freedom), `${what}, chi-square`)
}

test('a draw is a function of seed, stream, step and index, in any order', () => {
  const forward = new RandomStream(3, streams.init, 7)
  const backward = new RandomStream(3, streams.init, 7)
  const up = draws(101, (i) => forward.normal(i))
  const down = draws(101, (i) => backward.normal(100 - i)).reverse()
  assert.equal(up, down)
  assert.is(forward.uniform(50), new RandomStream(3, streams.init, 7).uniform(50))
})

test('the documented counter and key layout', () => {
  const seed = 5 * 2 ** 32 + 11
  const random = new RandomStream(seed, 6, 9)
  for (const index of [0, 1, 2, 3, 4, 4711, 2 ** 34 - 1]) {
    const words = philox4x32([Math.floor(index / 4), 0, 9, 6], [11, 5])
    assert.is(random.bits(index), words[index % 4])
    const second = philox4x32([Math.floor(index / 4), 2, 9, 6], [11, 5])
    assert.is(random.bits(index, 2), second[index % 4])
  }
})

test('seed, stream and step each change every draw', () => {
  const base = new RandomStream(1, 1, 1)
  const others = [new RandomStream(2, 1, 1), new RandomStream(1, 2, 1), new RandomStream(1, 1, 2)]
  for (const other of [...others, new RandomStream(1 + 2 ** 32, 1, 1)]) {
    for (let i = 0; i < 100; i++) assert.is.not(base.bits(i), other.bits(i))
  }
})

test('stream constants are distinct', () => {
  assert.is(new Set(Object.values(streams)).size, Object.values(streams).length)
})

test('bits: every bit is set half of the time', () => {
  const n = 20000
  const random = new RandomStream(1, streams.synthetic)
  const set = new Float64Array(32)
  for (let i = 0; i < n; i++) {
    const word = random.bits(i)
    for (let bit = 0; bit < 32; bit++) set[bit]! += (word >>> bit) & 1
  }
  for (const count of set) near(count / n, 0.5, 0.5 / Math.sqrt(n), 'share of set bits')
})

test('uniform: in [0, 1), 24-bit multiples, flat, uncorrelated', () => {
  const n = 100_000
  const random = new RandomStream(2, streams.synthetic)
  const values = draws(n, (i) => random.uniform(i))
  for (const value of values) {
    assert.ok(value >= 0 && value < 1)
    assert.is(value, Math.fround(value))
    assert.ok(Number.isInteger(value * 2 ** 24))
  }
  near(moment(values, 1), 1 / 2, Math.sqrt(1 / 12 / n), 'mean')
  near(moment(values, 2), 1 / 3, Math.sqrt(4 / 45 / n), 'mean square')
  const counts = new Uint32Array(256)
  for (const value of values) counts[Math.floor(value * 256)]!++
  assertUniform(counts, n, 'uniform in 256 bins')
  for (const lag of [1, 2, 3, 4, 5]) {
    let product = 0
    for (let i = lag; i < n; i++) product += (values[i]! - 0.5) * (values[i - lag]! - 0.5)
    near(product / (n - lag), 0, 1 / 12 / Math.sqrt(n - lag), `autocovariance at lag ${lag}`)
  }
})

test('uniform: steps of one stream are uncorrelated', () => {
  const n = 20000
  const a = new RandomStream(2, streams.dropout, 10)
  const b = new RandomStream(2, streams.dropout, 11)
  let product = 0
  for (let i = 0; i < n; i++) product += (a.uniform(i) - 0.5) * (b.uniform(i) - 0.5)
  near(product / n, 0, 1 / 12 / Math.sqrt(n), 'covariance')
})

test('normal: moments, tails and independence of a pair', () => {
  const n = 200_000
  const random = new RandomStream(3, streams.synthetic)
  const values = draws(n, (i) => random.normal(i))
  // Var(z^k) = E z^2k - (E z^k)^2: 1, 2, 15, 96.
  near(moment(values, 1), 0, Math.sqrt(1 / n), 'mean')
  near(moment(values, 2), 1, Math.sqrt(2 / n), 'second moment')
  near(moment(values, 3), 0, Math.sqrt(15 / n), 'third moment')
  near(moment(values, 4), 3, Math.sqrt(96 / n), 'fourth moment')
  // P(|z| > t) of the normal distribution.
  for (const [t, p] of [
    [1, 0.31731],
    [2, 0.0455],
    [3, 0.0026998],
  ] as const) {
    const share = values.filter((z) => Math.abs(z) > t).length / n
    near(share, p, Math.sqrt((p * (1 - p)) / n), `share beyond ${t}`)
  }
  let product = 0
  let squares = 0
  for (let i = 0; i < n; i += 2) {
    product += values[i]! * values[i + 1]!
    squares += (values[i]! ** 2 - 1) * (values[i + 1]! ** 2 - 1)
  }
  near(product / (n / 2), 0, Math.sqrt(2 / n), 'covariance of a pair')
  near(squares / (n / 2), 0, 2 * Math.sqrt(2 / n), "covariance of a pair's squares")
})

test('normal: Box-Muller on the words of the pair', () => {
  const random = new RandomStream(4, streams.init, 2)
  for (const even of [0, 2, 1000, 1002]) {
    const radius = Math.sqrt(-2 * Math.log((random.bits(even) + 1) / 2 ** 32))
    const angle = 2 * Math.PI * (random.bits(even + 1) / 2 ** 32)
    // 1e-15: the last place of a product of order 1.
    assert.ok(Math.abs(random.normal(even) - radius * Math.cos(angle)) < 1e-15)
    assert.ok(Math.abs(random.normal(even + 1) - radius * Math.sin(angle)) < 1e-15)
  }
})

test('truncatedNormal: within the limit, with the moments of the truncated law', () => {
  const n = 100_000
  const random = new RandomStream(5, streams.synthetic)
  const values = draws(n, (i) => random.truncatedNormal(i))
  assert.ok(values.every((z) => Math.abs(z) <= 2))
  // E z^2 = 1 - 4 phi(2) / P, E z^4 = 3 E z^2 - 16 phi(2) / P with P = P(|z| < 2).
  const tail = Math.exp(-2) / Math.sqrt(2 * Math.PI) / 0.954499736
  const second = 1 - 4 * tail
  const fourth = 3 * second - 16 * tail
  near(moment(values, 1), 0, Math.sqrt(second / n), 'mean')
  near(moment(values, 2), second, Math.sqrt((fourth - second ** 2) / n), 'second moment')
  assert.ok(Math.abs(Math.sqrt(second) - 0.8796) < 5e-5)
})

test('truncatedNormal: keeps the normal draw where that lies within, honours other limits', () => {
  const random = new RandomStream(6, streams.synthetic)
  let kept = 0
  for (let i = 0; i < 1000; i++) {
    const z = random.normal(i)
    if (Math.abs(z) <= 2) {
      assert.is(random.truncatedNormal(i), z)
      kept++
    }
    assert.ok(Math.abs(random.truncatedNormal(i, 0.1)) <= 0.1)
  }
  assert.ok(kept > 900 && kept < 1000)
  for (const limit of [0, 0.05, -1, Number.NaN]) {
    assert.throws(() => random.truncatedNormal(0, limit), /^limit is .*, expected at least 0.1$/)
  }
})

test('integer: flat for a bound that does not divide 2^32', () => {
  const n = 60_000
  const random = new RandomStream(7, streams.synthetic)
  for (const bound of [3, 10, 600]) {
    const counts = new Uint32Array(bound)
    for (let i = 0; i < n; i++) counts[random.integer(i, bound)]!++
    assertUniform(counts, n, `integer below ${bound}`)
  }
})

test('integer: unbiased where taking the remainder alone would double half of the values', () => {
  // With bound 2/3 of 2^32 a bare remainder puts 2/3 of the draws into the lower half.
  const n = 20000
  const bound = Math.floor((2 ** 32 * 2) / 3)
  const random = new RandomStream(8, streams.synthetic)
  let low = 0
  for (let i = 0; i < n; i++) if (random.integer(i, bound) < bound / 2) low++
  near(low / n, 0.5, 0.5 / Math.sqrt(n), 'share in the lower half')
})

test('integer: edges of the bound', () => {
  const random = new RandomStream(9, streams.synthetic)
  assert.is(random.integer(12, 1), 0)
  assert.is(random.integer(12, 2 ** 32), random.bits(12))
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
    assert.throws(() => random.integer(0, bound), /^bound is .*, expected an integer from 1/)
  }
})

test('permutation: holds each number once; 0 and 1 are legal', () => {
  const order = new RandomStream(10, streams.shuffle, 4).permutation(1000)
  assert.equal(
    [...order].sort((a, b) => a - b),
    [...Array(1000).keys()],
  )
  assert.is.not(order.join(), [...Array(1000).keys()].join())
  assert.equal([...new RandomStream(10, streams.shuffle).permutation(0)], [])
  assert.equal([...new RandomStream(10, streams.shuffle).permutation(1)], [0])
  assert.throws(() => new RandomStream(10, streams.shuffle).permutation(-1), /^n is -1, expected/)
})

test('permutation: all 24 orders of four are equally likely', () => {
  const n = 24_000
  const counts = new Map<string, number>()
  for (let step = 0; step < n; step++) {
    const order = new RandomStream(11, streams.shuffle, step).permutation(4).join()
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  assert.is(counts.size, 24)
  assertUniform([...counts.values()], n, 'orders')
})

test('arguments out of range are refused with their name', () => {
  assert.throws(() => new RandomStream(-1, 1), /^seed is -1, expected/)
  assert.throws(() => new RandomStream(1, 2 ** 32), /^stream is 4294967296, expected/)
  assert.throws(() => new RandomStream(1, 1, 0.5), /^step is 0.5, expected/)
  const random = new RandomStream(1, 1)
  for (const index of [-1, 0.5, 2 ** 34, Number.NaN]) {
    assert.throws(() => random.uniform(index), /^index is .*, expected an integer from 0/)
  }
})

test('fillNormal gives the bits of normal, for any length and between other draws', () => {
  const stream = new RandomStream(7, streams.init, 3)
  for (const length of [0, 1, 2, 3, 4, 5, 41, 1000]) {
    stream.bits(length, 1)
    const filled = new Float64Array(length)
    stream.fillNormal(filled)
    const single = new RandomStream(7, streams.init, 3)
    assert.equal(
      filled,
      Float64Array.from({ length }, (_, i) => single.normal(i)),
    )
    assert.is(stream.normal(2), single.normal(2))
    const scaled = new Float32Array(length)
    stream.fillNormal(scaled, 0.1)
    assert.equal(
      scaled,
      Float32Array.from({ length }, (_, i) => 0.1 * single.normal(i)),
    )
  }
})

test.run()
