// Drawings of Debian's package openclipart-png by the folder they were filed in: labels are noisy.
// Of byte-identical files one counts; a file that is in more than one top folder is left out.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { debianFolder, expectCount } from './packages.mjs'
import { rgbPixels } from './pixels.mjs'
import { splitClasses } from './split.mjs'

const SIZE = 32
const CLASSES = ['animals', 'food', 'people', 'recreation', 'tools', 'transportation']

export async function clipArt({ work, random }) {
  const folder = await debianFolder(work, 'openclipart-png', '/usr/share/openclipart/png')
  const files = (await readdir(folder, { recursive: true }))
    .filter((file) => file.endsWith('.png'))
    .map((file) => file.replaceAll(path.sep, '/'))
    .sort()
  expectCount('PNG files', files.length, 8121)
  const byHash = new Map()
  for (const file of files) {
    const bytes = await readFile(path.join(folder, file))
    const hash = createHash('sha256').update(bytes).digest('hex')
    const same = byHash.get(hash)
    if (same) same.push(file)
    else byHash.set(hash, [file])
  }
  const topOf = (file) => file.split('/')[0]
  const members = CLASSES.map(() => [])
  for (const [file, ...others] of byHash.values()) {
    const label = CLASSES.indexOf(topOf(file))
    if (label < 0 || others.some((other) => topOf(other) !== topOf(file))) continue
    const pixels = await rgbPixels(path.join(folder, file), SIZE, SIZE)
    if (pixels) members[label].push(pixels)
    else console.error(`clip-art: ${file} is left out: it is too large or can't be decoded`)
  }
  const { train, test } = splitClasses(members, random)
  const example = ({ item, label }) => ({ pixels: item, label })
  return {
    train: train.map(example),
    test: test.map(example),
    shape: [SIZE, SIZE, 3],
    classNames: CLASSES,
    source: "Debian's openclipart-png 1:0.18+dfsg-19",
  }
}
