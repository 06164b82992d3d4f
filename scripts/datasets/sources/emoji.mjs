// Emoji in two drawing styles, Noto (Google) and Twemoji, of the npm packages emoji-datasource-*:
// 64 x 64 RGBA, here on white at 32 x 32.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expectCount, npmPackage } from './packages.mjs'
import { rgbPixels } from './pixels.mjs'
import { splitClasses } from './split.mjs'

const SIZE = 32
const STYLES = ['google', 'twitter']
const VERSION = '16.0.0'
const source = `npm emoji-datasource-google and emoji-datasource-twitter ${VERSION}`

/** By category, trained on one style and tested on the other. */
export async function emoji({ work }) {
  const { all, pixelsOf } = await readEmoji(work)
  const classNames = [...new Set(all.map(({ category }) => category))].sort()
  const [train, test] = await Promise.all(
    STYLES.map((style) =>
      Promise.all(
        all.map(async (item) => ({
          pixels: await pixelsOf(item, style),
          label: classNames.indexOf(item.category),
        })),
      ),
    ),
  )
  return { train, test, shape: [SIZE, SIZE, 3], classNames, source }
}

/** Fewest emoji of a class of `emojiKinds`, two images each. */
const FEWEST = 8

/** By subcategory, many classes; both styles of an emoji on the same side of the split. */
export async function emojiKinds({ work, random }) {
  const { all, pixelsOf } = await readEmoji(work)
  const kindOf = ({ category, subcategory }) => `${category}: ${subcategory}`
  const classNames = [...new Set(all.map(kindOf))]
    .filter((kind) => all.filter((item) => kindOf(item) === kind).length >= FEWEST)
    .sort()
  const members = classNames.map((kind) => all.filter((item) => kindOf(item) === kind))
  const { train, test } = splitClasses(members, random)
  const examples = (split) =>
    Promise.all(
      split.flatMap(({ item, label }) =>
        STYLES.map(async (style) => ({ pixels: await pixelsOf(item, style), label })),
      ),
    )
  return {
    train: await examples(train),
    test: await examples(test),
    shape: [SIZE, SIZE, 3],
    classNames,
    source,
  }
}

async function readEmoji(work) {
  const folders = {}
  for (const style of STYLES)
    folders[style] = await npmPackage(work, `emoji-datasource-${style}@${VERSION}`)
  const list = JSON.parse(await readFile(path.join(folders.google, 'emoji.json'), 'utf8'))
  // Components are swatches of skin and hair.
  const all = list.filter(
    ({ category, has_img_google, has_img_twitter }) =>
      category !== 'Component' && has_img_google && has_img_twitter,
  )
  expectCount('emoji', all.length, 1906)
  const pixelsOf = async ({ image }, style) => {
    const file = path.join(folders[style], 'img', style, '64', image)
    const pixels = await rgbPixels(file, SIZE, SIZE)
    if (!pixels) throw new Error(`${file} cannot be decoded`)
    return pixels
  }
  return { all, pixelsOf }
}
