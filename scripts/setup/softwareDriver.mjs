// Where Mesa's software Vulkan driver comes from on each system, as data; nothing here runs it.
import { backportsStanza } from './aptSources.mjs'

const DRIVER = 'mesa-vulkan-drivers'
// Pictures as PNG need a font and what finds it; a slim container has neither.
const FONT = ['fontconfig-config', 'fonts-dejavu-core']

/** `NAME=value` lines of /etc/os-release, quotes removed. */
export function parseOsRelease(text) {
  const lines = text.matchAll(/^(\w+)=(["']?)(.*)\2$/gm)
  return Object.fromEntries([...lines].map(([, name, , value]) => [name, value]))
}

/**
 * How to get the driver on the system that `osRelease` describes: either `{ apt, stanza }`, the
 * arguments of `apt-get install` and the deb822 stanza of a source to add first ('' for none), or
 * `{ advice }`, a sentence for a system where we install nothing ourselves.
 */
export function driverPlan(osRelease, aptSources) {
  const { ID: id = 'unknown', VERSION_ID: version = '', PRETTY_NAME: name = id } = osRelease
  // Debian's testing and unstable carry no version.
  const release = version === '' ? Number.POSITIVE_INFINITY : Number.parseFloat(version)
  if ((id === 'debian' && release >= 13) || (id === 'ubuntu' && release >= 24.04))
    return { apt: [DRIVER, ...FONT], stanza: '' }
  if (id === 'debian' && release === 12) {
    // Debian 12's own Mesa 22.3 lacks Vulkan features that Dawn requires.
    const stanza = backportsStanza(aptSources, 'bookworm')
    if (stanza !== null) return { apt: ['-t', 'bookworm-backports', DRIVER, ...FONT], stanza }
    return {
      advice: `No apt source of this machine serves bookworm, so add bookworm-backports to its sources and install ${DRIVER} from there.`,
    }
  }
  if (id === 'debian' || id === 'ubuntu')
    return {
      advice: `${name} has a Vulkan driver too old for WebGPU: use Debian 12 or Ubuntu 24.04, or newer.`,
    }
  const family = [id, ...(osRelease.ID_LIKE ?? '').split(' ')]
  const command = Object.entries({
    debian: `apt-get install ${DRIVER}`,
    fedora: `dnf install ${DRIVER}`,
    arch: 'pacman -S vulkan-swrast',
    suse: 'zypper install libvulkan_lvp',
  }).find(([like]) => family.includes(like))?.[1]
  return {
    advice: command
      ? `Install Mesa's software Vulkan driver (Mesa 23 or newer), as root:\n  ${command}`
      : `Install a Vulkan driver for ${name}: the GPU vendor's, or Mesa's lavapipe (Mesa 23 or newer).`,
  }
}

/** What a person who is not root types to carry out a plan that has `apt`. */
export function manualCommands({ apt, stanza }) {
  const commands = [
    'sudo apt-get update',
    `sudo apt-get install --no-install-recommends ${apt.join(' ')}`,
  ]
  if (stanza)
    commands.unshift(
      `sudo tee /etc/apt/sources.list.d/bookworm-backports.sources <<'END'\n${stanza}END`,
    )
  return commands
}

/** What a system other than Linux needs. */
export function adviceFor(platform) {
  return platform === 'darwin'
    ? 'On macOS the adapter is the Metal GPU: use a Mac (or a virtual machine with GPU acceleration) with a current macOS.'
    : "On Windows the adapter is the Direct3D 12 GPU: install the GPU vendor's current driver."
}
