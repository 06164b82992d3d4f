// `npm run setup`: makes a fresh clone ready; with `--no-adapter`, for work that needs no GPU.
import { setUp } from './setup/setUp.mjs'

await setUp({ adapter: !process.argv.includes('--no-adapter') })
