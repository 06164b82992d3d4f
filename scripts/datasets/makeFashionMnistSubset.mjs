// Makes datasets/fashion-mnist: a balanced subset of Fashion-MNIST, 800 training images of each
// class from the official 60,000 and 200 test images of each from the official 10,000.
//
//   node scripts/datasets/makeFashionMnistSubset.mjs [--from FOLDER] [--out FOLDER]
//
// --from holds the four official files; the default is where Debian's package
// dataset-fashion-mnist puts them. Run again, it writes the same bytes (with another version of
// zlib perhaps other gzip bytes, but always the same contents, whose SHA-256 it prints).
//
// The images of class c are the first of RandomStream(SEED, streams.split, step).permutation(n)
// over that class's n images in the official order, with step = c for training and 10 + c for
// test; they are stored in the official order.
import { createHash } from 'node:crypto'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { engineParts, root } from './engineParts.mjs'

/** From arXiv:1708.07747, the paper that describes Fashion-MNIST. */
const SEED = 1708
const CLASSES = 10
const SPLITS = [
  { file: 'train', perClass: 800, firstStep: 0 },
  { file: 't10k', perClass: 200, firstStep: CLASSES },
]

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '/usr/share/datasets/fashion-mnist' },
    out: { type: 'string', default: path.join(root, 'datasets/fashion-mnist') },
  },
})

const { RandomStream, streams, encodeIdx, readIdxPair, writeFileWhole } = await engineParts(
  'makeFashionMnistSubset',
  {
    'src/random/randomStream.ts': ['RandomStream'],
    'src/random/streams.ts': ['streams'],
    'src/data/idx.ts': ['encodeIdx', 'readIdxPair'],
    'src/data/files.ts': ['writeFileWhole'],
  },
)

/** Positions of the chosen images, in the official order. */
function choose(labels, perClass, firstStep) {
  const chosen = []
  for (let label = 0; label < CLASSES; label++) {
    const members = [...labels.keys()].filter((i) => labels[i] === label)
    const order = new RandomStream(SEED, streams.split, firstStep + label).permutation(
      members.length,
    )
    for (const place of order.subarray(0, perClass)) chosen.push(members[place])
  }
  return chosen.sort((a, b) => a - b)
}

async function writeGzip(name, bytes) {
  const compressed = gzipSync(bytes, { level: 9 })
  // Byte 9 of the header names the operating system that compressed: 255 is "unknown". Its
  // time stamp is 0 already.
  compressed[9] = 255
  const file = path.join(values.out, `${name}.gz`)
  await writeFileWhole(file, [compressed])
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  console.log(`${name}.gz  ${compressed.length} bytes  contents ${sha256}`)
}

for (const { file, perClass, firstStep } of SPLITS) {
  const { images, labels } = await readIdxPair(
    path.join(values.from, `${file}-images-idx3-ubyte.gz`),
    path.join(values.from, `${file}-labels-idx1-ubyte.gz`),
  )
  const { height, width, pixels } = images
  const imageBytes = height * width
  const chosen = choose(labels, perClass, firstStep)
  const chosenPixels = new Uint8Array(chosen.length * imageBytes)
  chosen.forEach((from, to) => {
    const image = pixels.subarray(from * imageBytes, (from + 1) * imageBytes)
    chosenPixels.set(image, to * imageBytes)
  })
  const shape = [chosen.length, height, width]
  await writeGzip(`${file}-images-idx3-ubyte`, encodeIdx(shape, chosenPixels))
  const chosenLabels = Uint8Array.from(chosen, (from) => labels[from])
  await writeGzip(`${file}-labels-idx1-ubyte`, encodeIdx([chosen.length], chosenLabels))
}
