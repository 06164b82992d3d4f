import { readFileSync } from 'node:fs'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileError } from '../data/files.ts'

const NAME = 'lock'

/** Who holds a run folder. */
interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, in the system's own ticks: process numbers are given again. */
  readonly began: string
}

/**
 * Locks a run folder against other processes with a file that is created or not (O_EXCL). A lock
 * whose process has ended, killed or not, is taken over.
 *
 * @returns what gives the lock back
 * @throws Error naming the folder and the process that holds it
 */
export async function lockRunFolder(folder: string): Promise<() => Promise<void>> {
  const file = path.join(folder, NAME)
  const me: Holder = { pid: process.pid, host: hostname(), began: processStart(process.pid) ?? '' }
  for (;;) {
    try {
      const handle = await open(file, 'wx')
      try {
        await handle.writeFile(JSON.stringify(me))
      } finally {
        await handle.close()
      }
      return () => rm(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        throw fileError(file, 'written', error)
    }
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const holder = parseHolder(text)
    if (holder && isAlive(holder))
      throw new Error(
        `${folder} is in use by process ${holder.pid}${holder.host === me.host ? '' : ` on ${holder.host}`}; if that has ended, remove ${file}`,
      )
    // Renamed first: of two processes that find a dead lock, one renames it and the other fails.
    const dead = `${file}.${process.pid}`
    await rename(file, dead).catch(() => {})
    const taken = await readFile(dead, 'utf8').catch(() => undefined)
    // Another process took the lock over in between: it gets it back.
    if (taken !== undefined && taken !== text) await rename(dead, file)
    else await rm(dead, { force: true })
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, host, began } = JSON.parse(text) as Partial<Holder>
    return pid && host !== undefined && began !== undefined ? { pid, host, began } : undefined
  } catch {
    // Killed between creating and writing it.
    return undefined
  }
}

function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const now = processStart(pid)
  return now === undefined || began === '' || now === began
}

/** Field 22 of /proc/PID/stat, or undefined where there is none. */
function processStart(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may hold spaces.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
