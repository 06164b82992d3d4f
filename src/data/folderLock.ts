import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { lock } from 'proper-lockfile'
import { fileError } from './files.ts'

/** A holder that has not touched its lock for this long is taken for dead, on whatever machine. */
const STALE_MILLISECONDS = 30_000

/** Taking a lock takes milliseconds: who has not let go by then was killed at it. */
const GUARD_STALE_MILLISECONDS = 5000

/** The lock itself; proper-lockfile makes it a folder, for `mkdir` is atomic on network disks too. */
const LOCK = 'lock'
/** Who holds it: tells a reader whom to wait for, and this machine whether that one still lives. */
const HOLDER = 'lock.json'

interface Holder {
  readonly pid: number
  readonly host: string
}

/** What another process holds. */
export class FolderInUseError extends Error {
  override name = 'FolderInUseError'
}

/**
 * Locks a folder, which is made where missing, against other processes, also on other machines that
 * share it. The lock of a process that was killed ends at once on the same machine and within half a
 * minute on others.
 *
 * @param onLost told where the lock was taken away, as from a process that was suspended
 * @returns what gives the lock back
 * @throws FolderInUseError naming the folder and the process that holds it
 */
export async function lockFolder(
  folder: string,
  onLost: (error: Error) => void = () => {},
): Promise<() => Promise<void>> {
  const options = { lockfilePath: path.join(folder, LOCK), stale: STALE_MILLISECONDS }
  try {
    await mkdir(folder, { recursive: true })
    // One process at a time looks and takes: else two could take over the same dead lock.
    // Its own path as the thing locked: the library knows a lock by that.
    const guard = path.join(folder, `${LOCK}.guard`)
    const leave = await lock(guard, {
      lockfilePath: guard,
      realpath: false,
      stale: GUARD_STALE_MILLISECONDS,
      retries: { retries: 500, factor: 1, minTimeout: 20 },
    })
    try {
      return await takeLock(folder, options, onLost)
    } finally {
      await leave()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ELOCKED')
      throw fileError(folder, 'locked', error)
    const holder = await readHolder(folder)
    const whose = holder ? `process ${holder.pid} on ${holder.host}` : 'another process'
    throw new FolderInUseError(`${folder} is in use by ${whose}`)
  }
}

interface LockOptions {
  readonly lockfilePath: string
  readonly stale: number
}

async function takeLock(
  folder: string,
  options: LockOptions,
  onLost: (error: Error) => void,
): Promise<() => Promise<void>> {
  const dead = await readHolder(folder)
  if (dead && dead.host === hostname() && !isAlive(dead.pid))
    await rm(options.lockfilePath, { recursive: true, force: true })
  const release = await lock(folder, { ...options, onCompromised: onLost })
  const holderFile = path.join(folder, HOLDER)
  const holder: Holder = { pid: process.pid, host: hostname() }
  await writeFile(holderFile, JSON.stringify(holder))
  return async () => {
    await rm(holderFile, { force: true })
    await release()
  }
}

async function readHolder(folder: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path.join(folder, HOLDER), 'utf8')) as Holder
  } catch {
    // Not there, or its writer is just at it.
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
