import { spawn } from 'node:child_process'
import process from 'node:process'

interface Workers {
  finish(): Promise<void>
  interrupt(): void
}

/**
 * Runs this command line again in so many processes beside this one, what they say going to the same
 * stderr.
 *
 * @param withoutOption the option that asked for them, with its value
 * @returns `finish` waits for all of them and throws where one failed; `interrupt` asks them to stop
 */
export function startWorkers(count: number, withoutOption: string): Workers {
  const [, script, ...args] = process.argv
  const at = args.findIndex((arg) => arg === withoutOption || arg.startsWith(`${withoutOption}=`))
  args.splice(at, args[at] === withoutOption ? 2 : 1)
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [script!, ...args], { stdio: ['ignore', 'ignore', 'inherit'] }),
  )
  const ends = children.map(
    (child) =>
      new Promise<number | null>((resolve) => {
        child.on('close', resolve)
        child.on('error', () => resolve(null))
      }),
  )
  return {
    async finish() {
      const failed = (await Promise.all(ends)).filter((code) => code !== 0)
      if (failed.length > 0)
        throw new Error(`${failed.length} of ${count} further processes failed, see above`)
    },
    interrupt() {
      for (const child of children) child.kill('SIGINT')
    },
  }
}
