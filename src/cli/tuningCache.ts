import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import * as v from 'valibot'
import type { ConvolutionVariant } from '../autograd/convolutionVariant.ts'
import { writeFileWhole } from '../data/files.ts'
import type { KernelChoices } from '../gpu/choices.ts'
import type { DeviceProfile } from '../gpu/profile.ts'
import shippedForSoftware from './softwareTuning.json'
import { packageVersion, webgpuVersion } from './version.ts'

const Variant = v.partial(
  v.strictObject({
    flat: v.boolean(),
    subgroups: v.boolean(),
    vectorised: v.boolean(),
    narrow: v.boolean(),
    oneRow: v.boolean(),
    panels: v.boolean(),
    images: v.boolean(),
    lanes: v.picklist([8, 16, 32, 64, 128, 256]),
  } satisfies Record<keyof Omit<ConvolutionVariant, 'slices'>, v.GenericSchema>),
)
const Choices = v.record(v.string(), Variant)
const Tuning = v.strictObject({ device: v.record(v.string(), v.string()), choices: Choices })

/** What a tuning is good for: another of any of these may be faster with other variants. */
function deviceOf({ adapter, driver, backend }: DeviceProfile): Record<string, string> {
  return { adapter, driver, backend, gramgrad: packageVersion(), webgpu: webgpuVersion() }
}

/** Where the tuning of a device lies: under $GRAMGRAD_CACHE, or ~/.cache/gramgrad. */
export function tuningFile(profile: DeviceProfile): string {
  const folder = process.env.GRAMGRAD_CACHE ?? path.join(homedir(), '.cache/gramgrad')
  const id = createHash('sha256')
    .update(JSON.stringify(deviceOf(profile)))
    .digest('hex')
  return path.join(path.resolve(folder), 'tuning', `${id.slice(0, 16)}.json`)
}

/**
 * The tuning stored for a device, if any.
 *
 * @param onIgnored told, in a line, of a file that is damaged or of another device
 */
export async function readTuning(
  profile: DeviceProfile,
  onIgnored: (line: string) => void,
): Promise<KernelChoices | undefined> {
  const file = tuningFile(profile)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') onIgnored(`${file} is ignored: ${message}`)
    return undefined
  }
  try {
    const { device, choices } = v.parse(Tuning, JSON.parse(text))
    const expected = deviceOf(profile)
    const other = Object.keys(expected).find((key) => device[key] !== expected[key])
    if (!other) return choices
    onIgnored(`${file} is ignored: it was made for ${other} ${device[other]}`)
  } catch {
    onIgnored(`${file} is ignored: it is damaged; gramgrad tune writes it anew`)
  }
  return undefined
}

/** Stores choices beside those already stored, in place of those of the same classes; the file. */
export async function writeTuning(profile: DeviceProfile, choices: KernelChoices): Promise<string> {
  const file = tuningFile(profile)
  const before = await readTuning(profile, () => {})
  await mkdir(path.dirname(file), { recursive: true })
  const tuning = { device: deviceOf(profile), choices: { ...before, ...choices } }
  await writeFileWhole(file, `${JSON.stringify(tuning, null, 1)}\n`)
  return file
}

/** Choices that come with the package, for devices of a kind that was measured; null for others. */
export function shippedTuning({ software }: DeviceProfile): KernelChoices | null {
  return software ? shippedForSoftware : null
}
