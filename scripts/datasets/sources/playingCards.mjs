// Playing cards of Debian's package gnome-cards-data: 29 decks of 52 cards, drawn by different hands.
// A deck is one SVG of 13 columns (ace to king) and 5 rows (clubs, diamonds, hearts, spades, jokers);
// the order and the suits of each were checked by eye. swiss-xvii has other suits and is left out.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import sharp from 'sharp'
import { debianFolder, expectCount } from './packages.mjs'

const HEIGHT = 64
const WIDTH = 48
const ROWS = 5
const SUITS = ['clubs', 'diamonds', 'hearts', 'spades']
const RANKS = ['ace', ...Array.from({ length: 9 }, (_, i) => `${i + 2}`), 'jack', 'queen', 'king']
const LEFT_OUT = 'swiss-xvii.svgz'

/** Whole families of decks, unlike those left for training. */
const TEST_DECKS = [
  'neoclassical',
  'neoclassical_4_color',
  'ornamental',
  'plastic',
  'simplistic',
  'slavic_costumes',
  'tigullio',
]

export async function playingCards({ work }) {
  const folder = await debianFolder(work, 'gnome-cards-data', '/usr/share/aisleriot/cards')
  const files = (await readdir(folder))
    .filter((file) => file.endsWith('.svgz') && file !== LEFT_OUT)
    .sort()
  expectCount('decks', files.length, 29)
  const train = []
  const test = []
  for (const file of files) {
    const cards = await cutDeck(path.join(folder, file))
    const isTest = TEST_DECKS.includes(file.replace('.svgz', ''))
    ;(isTest ? test : train).push(...cards)
  }
  const names = SUITS.flatMap((suit) => RANKS.map((rank) => `${rank} of ${suit}`))
  expectCount('test images', test.length, TEST_DECKS.length * names.length)
  return {
    train,
    test,
    shape: [HEIGHT, WIDTH, 3],
    classNames: names,
    source: "Debian's gnome-cards-data 1:3.22.23-1",
  }
}

async function cutDeck(file) {
  const svg = gunzipSync(await readFile(file))
  const { width } = await sharp(svg).metadata()
  const columns = RANKS.length * WIDTH
  // Drawn at twice the size, then averaged.
  const density = (72 * 2 * columns) / width
  const sheet = await sharp(svg, { density, unlimited: true })
    .flatten({ background: 'white' })
    .resize(columns, ROWS * HEIGHT, { fit: 'fill' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer()
  return SUITS.flatMap((_, suit) =>
    RANKS.map((_, rank) => {
      const pixels = new Uint8Array(HEIGHT * WIDTH * 3)
      for (let y = 0; y < HEIGHT; y++) {
        const from = ((suit * HEIGHT + y) * columns + rank * WIDTH) * 3
        pixels.set(sheet.subarray(from, from + WIDTH * 3), y * WIDTH * 3)
      }
      return { pixels, label: suit * RANKS.length + rank }
    }),
  )
}
