import { type ChildProcess, spawn } from 'node:child_process'

/** How a process ended; `signal` is set where a signal ended it. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

interface ChildOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly nodeArguments?: readonly string[]
  /** Told of all that was written to stdout so far. */
  readonly onOutput?: (stdout: string, child: ChildProcess) => void
}

// Far above what any child needs (seconds), far below the test runner's own limit.
const TIMEOUT_MS = 180_000

/** The arguments after a test file's name: none where the test runner started it. */
export const scenario: readonly string[] = process.argv.slice(2)

/**
 * Runs the test file that calls this once more, in a process of its own, with these arguments; it
 * finds them in `scenario`. A child that does not end is killed: signal SIGKILL.
 */
export function runAgain(
  args: readonly string[],
  { env, nodeArguments = [], onOutput }: ChildOptions = {},
): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    const nodeArgs = ['--enable-source-maps', ...nodeArguments]
    const child = spawn(process.execPath, [...nodeArgs, process.argv[1]!, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
    const kill = () => child.kill('SIGKILL')
    process.once('exit', kill)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      onOutput?.(stdout, child)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', kill)
      resolve({ code, signal, stdout, stderr })
    })
  })
}
