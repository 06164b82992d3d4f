import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { philox4x32, philoxKey } from '../../src/random/philox.ts'

/** Random123 1.14, tests/kat_vectors: every `philox4x32 10` line. */
const KNOWN_ANSWERS = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
]

/** The same ten rounds with 64-bit products in BigInt: an independent oracle. */
function philoxBigInt(counter: number[], key: number[]): number[] {
  const mask = 0xffffffffn
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
  let [k0, k1] = key.map(BigInt) as [bigint, bigint]
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0
    const p1 = 0xcd9e8d57n * c2
    ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

test('known answers of Random123', () => {
  for (const { counter, key, words } of KNOWN_ANSWERS) {
    assert.equal([...philox4x32(counter, key)], words)
  }
})

test('agrees with 64-bit arithmetic on 2,000 chained counters', () => {
  let words = [1, 2, 3, 4]
  for (let i = 0; i < 2000; i++) {
    const key = [words[3]!, i]
    const got = [...philox4x32(words, key)]
    assert.equal(got, philoxBigInt(words, key))
    words = got
  }
})

test('writes into the given array, which may be the counter', () => {
  const words = new Uint32Array(4)
  assert.is(philox4x32(words, [0, 0], words), words)
  assert.equal([...words], KNOWN_ANSWERS[0]!.words)
})

test('the key is the low and the high half of the seed', () => {
  assert.equal(philoxKey(0), [0, 0])
  assert.equal(philoxKey(7), [7, 0])
  assert.equal(philoxKey(2 ** 32 + 5), [5, 1])
  assert.equal(philoxKey(Number.MAX_SAFE_INTEGER), [0xffffffff, 0x1fffff])
})

test('a seed that is no integer in range is refused', () => {
  for (const seed of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => philoxKey(seed), new RegExp(`^seed is ${seed}, expected an integer`))
  }
})

test.run()
