import process from 'node:process'
import type { Progress } from './progress.ts'

/** Aborts on Ctrl-C; a second one ends the process without waiting for the step in hand. */
export function interruptSignal(
  progress: Progress,
  message = 'Interrupted: finishing the step and writing a checkpoint ...',
): AbortSignal {
  const interrupt = new AbortController()
  process.on('SIGINT', () => {
    // The last checkpoint stands.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
    progress.say(message)
  })
  return interrupt.signal
}
