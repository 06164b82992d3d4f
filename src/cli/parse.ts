import { InvalidArgumentError } from 'commander'

/** Parsers of option values for commander: what they throw becomes wrong usage, exit code 2. */

/** An integer of at least `least`. */
export function integer(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`expected an integer of at least ${least}`)
    return value
  }
}

/** A number above 0. */
export function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('expected a number above 0')
  return value
}

/** Names with commas between. */
export function nameList(text: string): readonly string[] {
  return text.split(',')
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
}

/** A number of bytes: 500000000, 512MiB, 1.5GB. */
export function bytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([kmg]i?|)b?$/i.exec(text.trim()) ?? []
  const factor = UNITS[unit?.toLowerCase() ?? '?']
  if (number === undefined || factor === undefined || Number(number) <= 0)
    throw new InvalidArgumentError('expected a number of bytes, as in 512MiB or 1GB')
  return Math.floor(Number(number) * factor)
}
