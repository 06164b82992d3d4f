import process from 'node:process'
import { MultiBar, Presets, type SingleBar } from 'cli-progress'

const LINE_MILLISECONDS = 5000

/** One task's bar. */
export interface TaskProgress {
  /** @param note what to show beside the bar @param total when it was not known before */
  update(done: number, note?: string, total?: number): void
  end(): void
}

/** Bars on a terminal, a plain line every five seconds elsewhere; always on stderr. */
export class Progress {
  readonly #bars: MultiBar | undefined

  constructor(quiet = false) {
    if (quiet || !process.stderr.isTTY) return
    this.#bars = new MultiBar(
      {
        stream: process.stderr,
        format: '{task} {bar} {percentage}% | {count}{note}{left}',
        barsize: 16,
        hideCursor: true,
        gracefulExit: false,
        noTTYOutput: false,
      },
      Presets.shades_classic,
    )
  }

  /** Starts a task of `total` units; without a unit's name only the share done is shown. */
  task(name: string, total: number, unit: string): TaskProgress {
    return this.#bars ? barTask(this.#bars, name, total, unit) : lineTask(name, total, unit)
  }

  /** A line of text above the bars. */
  say(text: string): void {
    if (this.#bars) this.#bars.log(`${text}\n`)
    else process.stderr.write(`${text}\n`)
  }

  stop(): void {
    this.#bars?.stop()
  }
}

/** Time left, from the share done since the start. */
function timeLeft(start: number, first: number, done: number, total: number): string {
  if (done <= first || done >= total) return ''
  const seconds = ((Date.now() - start) / 1000 / (done - first)) * (total - done)
  const minutes = Math.floor(seconds / 60)
  return minutes > 0
    ? `${minutes} min ${Math.round(seconds % 60)} s left`
    : `${Math.ceil(seconds)} s left`
}

function countOf(done: number, total: number, unit: string): string {
  return unit === '' ? `${Math.floor((100 * done) / total)} %` : `${done}/${total} ${unit}`
}

function barTask(bars: MultiBar, task: string, total: number, unit: string): TaskProgress {
  const shown = { task: task.padEnd(28), count: '', note: '', left: '' }
  const bar: SingleBar = bars.create(total, 0, shown)
  const start = Date.now()
  let first: number | undefined
  let summary = task
  return {
    update(done, note, known = total) {
      first ??= done
      bar.setTotal(known)
      const count = countOf(done, known, unit)
      const left = timeLeft(start, first, done, known)
      summary = [`${task}: ${count}`, note].filter(Boolean).join(', ')
      bar.update(done, {
        count: unit === '' ? '' : `${count}${note ? ' | ' : ''}`,
        note: note ?? '',
        left: left && ` | ${left}`,
      })
    },
    end() {
      // A line in its place: many bars would not fit the screen.
      bars.log(`${summary}\n`)
      bars.remove(bar)
    },
  }
}

function lineTask(task: string, total: number, unit: string): TaskProgress {
  const start = Date.now()
  let first: number | undefined
  let printedAt = 0
  return {
    update(done, note, known = total) {
      first ??= done
      if (Date.now() - printedAt < LINE_MILLISECONDS && done < known) return
      printedAt = Date.now()
      const parts = [
        `${task}: ${countOf(done, known, unit)}`,
        note,
        timeLeft(start, first, done, known),
      ]
      process.stderr.write(`${parts.filter(Boolean).join(', ')}\n`)
    },
    end() {},
  }
}
