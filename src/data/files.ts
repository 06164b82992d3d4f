import { readFile } from 'node:fs'
import fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import writeFileAtomic from 'write-file-atomic'

// Takes two thirds of the processor time of the promise API's own, which opens a FileHandle.
const readWhole = promisify(readFile)

const REASONS: Record<string, string> = {
  ENOENT: 'it does not exist',
  EISDIR: 'it is a folder, expected a file',
  ENOTDIR: 'a part of its path is a file, expected a folder',
  EACCES: 'permission is denied',
  EPERM: 'the operation is not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EFBIG: 'it would pass the limit on file sizes',
  EDQUOT: 'the disk quota is used up',
}

/**
 * The error to throw when the operating system refuses a file: one sentence that names it.
 *
 * @param action what was tried, as in "cannot be ACTION": 'read', 'written'.
 */
export function fileError(path: string, action: string, cause: unknown): Error {
  const { code, message } = cause as NodeJS.ErrnoException
  const reason = REASONS[code ?? ''] ?? message
  return new Error(`${path} cannot be ${action}: ${reason}`, { cause })
}

/**
 * All bytes of a file.
 *
 * @throws Error naming the file when it is missing, a folder or unreadable.
 */
export async function readFileBytes(path: string): Promise<Uint8Array> {
  try {
    return await readWhole(path)
  } catch (error) {
    throw fileError(path, 'read', error)
  }
}

/**
 * Writes a file whole or not at all: temporary name in the same folder, fsync, rename. What stood
 * under the name before stays until the rename, and after any failure.
 *
 * @param parts the file's bytes, in pieces that need not be joined in memory.
 * @throws Error naming the file when the folder is missing or unwritable or the device is full.
 */
export async function writeFileWhole(
  path: string,
  parts: Iterable<Uint8Array> | string,
): Promise<void> {
  try {
    await writeFileAtomic(path, '', {
      // write-file-atomic writes its data with one call and ignores a short count, so a device
      // that fills up leaves a truncated file under the final name. fs.writeFile writes all or
      // throws; the library then syncs, renames and cleans up.
      tmpfileCreated: (temporary) => fs.writeFile(temporary, parts),
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error(`${path} cannot be written: the folder ${dirname(path)} does not exist`, {
        cause: error,
      })
    }
    throw fileError(path, 'written', error)
  }
}
