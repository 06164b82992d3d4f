import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAptSources } from './aptSources.mjs'
import { SetUpError, say, toStderr } from './setUpError.mjs'
import { adviceFor, driverPlan, manualCommands, parseOsRelease } from './softwareDriver.mjs'

const probe = fileURLToPath(new URL('probeAdapter.mjs', import.meta.url))

/** Whether WebGPU finds an adapter, and what the driver said. */
function probeAdapter() {
  const { status, stderr } = spawnSync(process.execPath, [probe], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (status !== 0 && status !== 3)
    throw new SetUpError(`Looking for a WebGPU adapter crashed:\n${stderr}`)
  return { found: status === 0, stderr }
}

function aptGet(...args) {
  // Just after boot, unattended upgrades may hold dpkg's lock for a while.
  return spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
    stdio: toStderr,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
}

/** Installs with apt; an added source lives in a temporary copy of the machine's source parts. */
function install({ apt, stanza }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gramgrad-apt-'))
  try {
    const options = []
    if (stanza) {
      const parts = '/etc/apt/sources.list.d'
      if (existsSync(parts)) cpSync(parts, folder, { recursive: true, dereference: true })
      writeFileSync(path.join(folder, 'gramgrad-backports.sources'), stanza)
      options.push('-o', `Dir::Etc::sourceparts=${folder}`)
    }
    // An unreachable source of a third party fails the update, yet need not fail the install.
    aptGet(...options, 'update')
    const { status } = aptGet(...options, 'install', '-y', '--no-install-recommends', ...apt)
    if (status !== 0)
      throw new SetUpError(`apt-get install ${apt.join(' ')} failed: see its messages above.`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Makes sure that WebGPU finds an adapter; as root on Debian or Ubuntu, by installing a driver. */
export function ensureAdapter() {
  if (probeAdapter().found) return
  const problem = 'WebGPU finds no adapter (GPU or software driver) on this machine.'
  if (process.platform !== 'linux')
    throw new SetUpError(`${problem} ${adviceFor(process.platform)}`)
  for (const name of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'])
    if (process.env[name])
      throw new SetUpError(
        `WebGPU finds no adapter with ${name}=${process.env[name]}: unset it, or name the manifest of a Vulkan driver that works.`,
      )
  const osRelease = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const plan = driverPlan(parseOsRelease(osRelease), readAptSources())
  if (plan.advice) throw new SetUpError(`${problem} ${plan.advice}`)
  if (process.getuid() !== 0)
    throw new SetUpError(
      `${problem} Install Mesa's software Vulkan driver with these commands, then try again:\n\n${manualCommands(plan).join('\n')}\n`,
    )
  say(
    `no WebGPU adapter: installing Mesa's software Vulkan driver (apt-get install ${plan.apt.join(' ')})`,
  )
  install(plan)
  const { found, stderr } = probeAdapter()
  if (!found)
    throw new SetUpError(
      `Mesa's software Vulkan driver is installed, yet WebGPU still finds no adapter; the driver says:\n${stderr}`,
    )
}
