// `npm start [-- options]`: set-up, then the quickstart, in this same process, so that Ctrl-C, the
// terminal and the exit code are the program's own.
import { fileURLToPath } from 'node:url'
import { setUp } from './setup/setUp.mjs'

await setUp()
const cli = new URL('../dist/cli.mjs', import.meta.url)
process.argv.splice(1, 1, fileURLToPath(cli), 'quickstart')
await import(cli.href)
