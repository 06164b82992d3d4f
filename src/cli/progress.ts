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
        format: '{task} {bar} {percentage}% | {value}/{total} {unit} | {note}| {left}',
        hideCursor: true,
        gracefulExit: false,
        noTTYOutput: false,
      },
      Presets.shades_classic,
    )
  }

  /** Starts a task of `total` units. */
  task(name: string, total: number, unit: string): TaskProgress {
    return this.#bars
      ? barTask(this.#bars, name.padEnd(24), total, unit)
      : lineTask(name, total, unit)
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

function barTask(bars: MultiBar, task: string, total: number, unit: string): TaskProgress {
  const bar: SingleBar = bars.create(total, 0, { task, unit, note: '', left: '' })
  const start = Date.now()
  let first: number | undefined
  return {
    update(done, note, known = total) {
      first ??= done
      bar.setTotal(known)
      bar.update(done, { note: note ? `${note} ` : '', left: timeLeft(start, first, done, known) })
    },
    end() {
      bar.stop()
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
      const parts = [`${task}: ${done}/${known} ${unit}`, note, timeLeft(start, first, done, known)]
      process.stderr.write(`${parts.filter(Boolean).join(', ')}\n`)
    },
    end() {},
  }
}
