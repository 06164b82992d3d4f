import type { BadImageError } from '../data/imageSource.ts'
import type { Progress } from './progress.ts'

/** Files that gave no image, each told once. */
export class BadImages {
  readonly #paths = new Set<string>()

  constructor(private readonly progress: Progress) {}

  get count(): number {
    return this.#paths.size
  }

  readonly add = ({ path, message }: BadImageError): void => {
    if (this.#paths.has(path)) return
    this.#paths.add(path)
    this.progress.say(`${message}; it is left out`)
  }
}
