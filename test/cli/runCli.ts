import { spawn } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import * as assert from 'uvu/assert'
import { writeFileWhole } from '../../src/data/files.ts'
import { encodeIdx } from '../../src/data/idx.ts'
import { packageRoot } from '../../src/data/packageRoot.ts'

const cli = path.join(packageRoot(), 'bin/gramgrad.mjs')

export interface CliEnd {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built command line. @param onStderr told of what came on stderr so far */
export function runCli(
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>
    /** Milliseconds after which the process is killed, unless it ended before. */
    readonly killAfter?: number
    readonly onStderr?: (text: string, interrupt: () => void, kill: () => void) => void
  } = {},
): Promise<CliEnd> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...args], {
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      options.onStderr?.(
        stderr,
        () => child.kill('SIGINT'),
        () => child.kill('SIGKILL'),
      )
    })
    const timer =
      options.killAfter === undefined
        ? undefined
        : setTimeout(() => child.kill('SIGKILL'), options.killAfter)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
  })
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'gramgrad-test-'))
}

/** A folder with a tiny data set of three classes of 12 x 12 images, bright in different places. */
export async function tinyDataset(train = 48, test = 24): Promise<string> {
  const folder = await temporaryFolder()
  for (const [prefix, count] of [
    ['train', train],
    ['t10k', test],
  ] as const) {
    const labels = Uint8Array.from({ length: count }, (_, i) => i % 3)
    const images = Uint8Array.from({ length: count * 144 }, (_, i) => {
      const bright = Math.floor((i % 144) / 48) === labels[Math.floor(i / 144)]
      return (bright ? 160 : 20) + ((i * 7919) % 60)
    })
    await writeFileWhole(path.join(folder, `${prefix}-images-idx3-ubyte`), [
      encodeIdx([count, 12, 12], images),
    ])
    await writeFileWhole(path.join(folder, `${prefix}-labels-idx1-ubyte`), [
      encodeIdx([count], labels),
    ])
  }
  return folder
}

/** [arguments, exit code, what the one-sentence error says] */
export type Refusal = readonly [args: readonly string[], code: number, message: RegExp]

/** Each call ends with its exit code and message, and with neither a result nor a stack trace. */
export async function assertRefusals(refusals: readonly Refusal[]): Promise<void> {
  for (const [args, code, message] of refusals) {
    const end = await runCli(args)
    const what = args.slice(-2).join(' ')
    assert.is(end.code, code, `${what}: exit code ${end.code}, ${end.stderr}`)
    assert.match(end.stderr, message)
    assert.is(end.stdout, '', what)
    assert.not.match(end.stderr, '    at ')
  }
}
