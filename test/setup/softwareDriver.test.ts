import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseOneLineSources } from '../../scripts/setup/aptSources.mjs'
import {
  adviceFor,
  driverPlan,
  manualCommands,
  parseOsRelease,
} from '../../scripts/setup/softwareDriver.mjs'

const bookworm = parseOneLineSources('deb http://mirror.example/debian bookworm main')
const stanza =
  'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n'

test('os-release: quotes are optional', () => {
  const text = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID=\'24.04\'\nID=ubuntu\n\n# comment\n'
  assert.equal(parseOsRelease(text), {
    PRETTY_NAME: 'Ubuntu 24.04.1 LTS',
    VERSION_ID: '24.04',
    ID: 'ubuntu',
  })
})

test('the distribution itself serves the driver from Debian 13 and Ubuntu 24.04 on', () => {
  const own = { apt: ['mesa-vulkan-drivers', 'fontconfig-config', 'fonts-dejavu-core'], stanza: '' }
  assert.equal(driverPlan({ ID: 'ubuntu', VERSION_ID: '24.04' }, []), own)
  assert.equal(driverPlan({ ID: 'ubuntu', VERSION_ID: '26.04' }, []), own)
  assert.equal(driverPlan({ ID: 'debian', VERSION_ID: '13' }, []), own)
  assert.equal(driverPlan({ ID: 'debian' }, []), own, 'testing and unstable carry no version')
})

test('Debian 12 takes it from backports', () => {
  const apt = [
    '-t',
    'bookworm-backports',
    'mesa-vulkan-drivers',
    'fontconfig-config',
    'fonts-dejavu-core',
  ]
  assert.equal(driverPlan({ ID: 'debian', VERSION_ID: '12' }, bookworm), { apt, stanza })
})

const advice = (osRelease: Record<string, string>) => {
  const plan = driverPlan(osRelease, [])
  return 'advice' in plan ? plan.advice : ''
}

test('elsewhere there is advice only', () => {
  assert.match(advice({ ID: 'debian', VERSION_ID: '12' }), 'No apt source')
  assert.match(advice({ ID: 'debian', VERSION_ID: '11', PRETTY_NAME: 'Debian 11' }), 'Debian 11')
  assert.match(advice({ ID: 'ubuntu', VERSION_ID: '22.04' }), 'Ubuntu 24.04, or newer')
  assert.match(advice({ ID: 'linuxmint', ID_LIKE: 'ubuntu debian' }), 'apt-get install mesa')
  assert.match(advice({ ID: 'fedora' }), 'dnf install mesa-vulkan-drivers')
  assert.match(advice({ ID: 'manjaro', ID_LIKE: 'arch' }), 'pacman -S vulkan-swrast')
  assert.match(advice({ ID: 'opensuse-leap', ID_LIKE: 'suse opensuse' }), 'zypper install')
  assert.match(advice({ ID: 'nixos' }), 'Vulkan driver for nixos')
  assert.match(advice({}), 'unknown')
  assert.match(adviceFor('darwin'), 'Metal')
  assert.match(adviceFor('win32'), 'Direct3D 12')
})

test('the commands to type', () => {
  assert.equal(manualCommands({ apt: ['mesa-vulkan-drivers'], stanza: '' }), [
    'sudo apt-get update',
    'sudo apt-get install --no-install-recommends mesa-vulkan-drivers',
  ])
  assert.equal(
    manualCommands({ apt: ['-t', 'bookworm-backports', 'mesa-vulkan-drivers'], stanza }),
    [
      `sudo tee /etc/apt/sources.list.d/bookworm-backports.sources <<'END'\n${stanza}END`,
      'sudo apt-get update',
      'sudo apt-get install --no-install-recommends -t bookworm-backports mesa-vulkan-drivers',
    ],
  )
})

test.run()
