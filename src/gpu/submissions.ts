/** Drivers kill what runs for seconds; half a second leaves a slower moment room. */
const LONGEST_MILLISECONDS = 500
/** Commands of a submission whose duration is not known yet. */
const FIRST_PIECE = 8

/**
 * Where a program's commands are cut into submissions. The first run goes in small pieces, each of
 * them timed; later ones in the fewest that stay under half a second each, as far as cuts between
 * the pieces allow it.
 */
export class Submissions {
  #ends: number[] = []
  #isTimed = false

  /** @param commands of one run */
  constructor(commands: number) {
    for (let end = FIRST_PIECE; end < commands; end += FIRST_PIECE) this.#ends.push(end)
    this.#ends.push(commands)
  }

  /** Submissions of the next run. */
  get count(): number {
    return this.#ends.length
  }

  /**
   * Submits one run.
   *
   * @param submit the commands from `start` up to but without `end`
   * @param finished resolves when the device has done what was submitted so far
   */
  run(submit: (start: number, end: number) => void, finished: () => Promise<unknown>): void {
    const isTimed = !this.#isTimed && this.#ends.length > 1
    this.#isTimed = true
    const ends = this.#ends
    const times: Promise<number>[] = []
    const time = () => {
      if (isTimed) times.push(finished().then(() => performance.now()))
    }
    time()
    let start = 0
    for (const end of ends) {
      submit(start, end)
      time()
      start = end
    }
    if (!isTimed) return
    Promise.all(times).then(
      (at) => {
        this.#ends = merged(
          ends,
          ends.map((_, i) => at[i + 1]! - at[i]!),
        )
      },
      // A lost device is reported to whoever waits for results.
      () => {},
    )
  }
}

/** Joins neighbouring pieces while their durations, in milliseconds, add up to little enough. */
export function merged(ends: readonly number[], durations: readonly number[]): number[] {
  const joined: number[] = []
  let sum = 0
  for (const [i, end] of ends.entries()) {
    if (joined.length > 0 && sum + durations[i]! <= LONGEST_MILLISECONDS) {
      joined[joined.length - 1] = end
      sum += durations[i]!
    } else {
      joined.push(end)
      sum = durations[i]!
    }
  }
  return joined
}
