import fs from 'node:fs'
import { join } from 'node:path'
import type { Dataset } from './dataset.ts'
import { openIdxFamily } from './idxFamily.ts'
import { packageRoot } from './packageRoot.ts'

/** Class names of Fashion-MNIST in the order of its labels. */
const CLASS_NAMES = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
] as const

/** Where Debian's and Ubuntu's package dataset-fashion-mnist puts the four files. */
const SYSTEM_FOLDER = '/usr/share/datasets/fashion-mnist'

const SIZES = ['subset', 'full', 'auto'] as const

export interface FashionMnistOptions {
  /**
   * `subset`: the 8,000 + 2,000 images that come with gramgrad. `full`: all 60,000 + 10,000, from
   * `path` or the installed Debian package. `auto` (default): full where `path` is given or the
   * package is installed, the subset otherwise.
   */
  size?: (typeof SIZES)[number]
  /** Folder with the four IDX files. */
  path?: string
  /** Where the system's package would be. */
  systemFolder?: string
}

/**
 * Opens Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747): 28 x 28 grey pictures of
 * clothing in ten classes.
 *
 * @throws Error when `size` is unknown or contradicts `path`, when `full` finds no full set, and
 *   as `openIdxFamily`.
 */
export async function openFashionMnist(options: FashionMnistOptions = {}): Promise<Dataset> {
  const { size = 'auto', path, systemFolder = SYSTEM_FOLDER } = options
  if (!SIZES.includes(size)) {
    throw new Error(`size is '${size}', expected one of ${SIZES.join(', ')}`)
  }
  if (size === 'subset' && path !== undefined) {
    throw new Error(`path is '${path}', expected none with size 'subset', which is built in`)
  }
  const full = path ?? (fs.existsSync(systemFolder) ? systemFolder : undefined)
  if (size === 'full' && full === undefined) {
    throw new Error(
      `fashion-mnist in full is not in ${systemFolder}: install Debian's package ` +
        "dataset-fashion-mnist, give the path of a folder with the four files, or take size 'subset'",
    )
  }
  const folder =
    size === 'subset' || full === undefined ? join(packageRoot(), 'datasets/fashion-mnist') : full
  return openIdxFamily(folder, { name: 'fashion-mnist', classNames: CLASS_NAMES })
}
