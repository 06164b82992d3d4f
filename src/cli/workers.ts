import { spawn } from 'node:child_process'
import process from 'node:process'

/**
 * Runs this command line again in so many processes beside this one, what they say going to the same
 * stderr.
 *
 * @param withoutOption the option that asked for them, with its value
 * @returns what waits for all of them; it throws where one failed
 */
export function startWorkers(count: number, withoutOption: string): () => Promise<void> {
  const [, script, ...args] = process.argv
  const at = args.findIndex((arg) => arg === withoutOption || arg.startsWith(`${withoutOption}=`))
  args.splice(at, args[at] === withoutOption ? 2 : 1)
  const ends = Array.from({ length: count }, () => {
    const child = spawn(process.execPath, [script!, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    return new Promise<number | null>((resolve) => {
      child.on('close', resolve)
      child.on('error', () => resolve(null))
    })
  })
  return async () => {
    const failed = (await Promise.all(ends)).filter((code) => code !== 0)
    if (failed.length > 0)
      throw new Error(`${failed.length} of ${count} further processes failed, see above`)
  }
}
