import { statSync } from 'node:fs'
import process from 'node:process'
import { Command, Option } from 'commander'
import type { Tape } from '../autograd/tape.ts'
import type { Tensor } from '../autograd/tensor.ts'
import { channelStatistics } from '../data/channelStatistics.ts'
import { type ImageDataset, type ImageSource, memorySource } from '../data/imageSource.ts'
import { openImageDataset } from '../data/registry.ts'
import { readSafetensors } from '../data/safetensors.ts'
import { SafetensorsWriter } from '../data/safetensorsWriter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import type { GpuArray } from '../gpu/gpuArray.ts'
import { type poolings, ResNet } from '../nn/resnet.ts'
import { loadStateDict, type StoredTensor } from '../nn/stateDict.ts'
import { DecodedInput } from '../train/decodedInput.ts'
import { evaluationBatchSize, forEachInputBatch } from '../train/evaluate.ts'
import { loadRun } from '../train/loadRun.ts'
import { networkOfWeights } from '../train/weightsNetwork.ts'
import { openTunedGpu } from './openTunedGpu.ts'
import { nameList } from './parse.ts'
import { Progress } from './progress.ts'
import { argumentOf, parseSetting, type SettingName } from './trainSettings.ts'

interface Options {
  readonly input: string
  readonly split: 'test' | 'train'
  readonly layers?: readonly string[]
  readonly out: string
  readonly arch?: string
  readonly pool?: (typeof poolings)[number]
  readonly imageSize?: number
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly unsafeFast?: boolean
  readonly json?: boolean
}

/** Name of the logits among the layers. */
const LOGITS = 'fc'

export function featuresCommand(): Command {
  const setting = (name: SettingName, flag: string, help: string) =>
    new Option(`${flag} ${argumentOf(name)}`, help).argParser((text) => parseSetting(name, text))
  return new Command('features')
    .description('activations of a network, by name, of a data set or of an array')
    .argument('<MODEL>', 'run folder, or .safetensors with a state_dict as PyTorch saves it')
    .requiredOption('--input <D>', 'data set, or safetensors:FILE with images [N, H, W, C]')
    .requiredOption('--out <F>', '.safetensors for the activations, [N, H, W, C] or [N, C] each')
    .option('--layers <L1,L2>', 'layer1.0 ... avgpool, layer1 for its last block, fc', nameList)
    .addOption(
      new Option('--split <SPLIT>', 'of the data set').choices(['test', 'train']).default('test'),
    )
    .addOption(setting('arch', '--arch', 'checked against the weights, which say it'))
    .addOption(setting('pool', '--pool', 'of a state_dict: where the max pool looks'))
    .addOption(setting('imageSize', '--image-size', 'resize and crop images to this'))
    .addOption(setting('mean', '--mean', 'of u8 images; default: of the run or the data set'))
    .addOption(setting('std', '--std', 'likewise'))
    .option('--unsafe-fast', "turn the driver's index clamping off")
    .option('--json', 'print one JSON object')
    .action(run)
}

async function run(model: string, options: Options): Promise<void> {
  const progress = new Progress()
  const gpu = await openTunedGpu({ unsafeFast: !!options.unsafeFast })
  try {
    const { network, mean, std, imageSize } = await openModel(gpu, model, options)
    const layers = (options.layers ?? network.layerNames).map((name) => layerOf(network, name))
    const { dataset, source } = await openInput(options)
    const input = new DecodedInput(gpu, dataset, source, {
      ...given({ imageSize, mean, std }),
      // A row less would shift all rows that follow.
      onBadImage: 'refuse',
    })
    const shapes = await write(gpu, progress, network, input, layers, options.out)
    input.release()
    progress.stop()
    const report = { n: input.count, layers: Object.fromEntries(shapes) }
    const lines = [...shapes].map(([name, shape]) => `  ${name}: [${shape.join(', ')}]\n`)
    process.stdout.write(
      options.json ? `${JSON.stringify(report)}\n` : `${options.out}\n${lines.join('')}`,
    )
  } finally {
    progress.stop()
    gpu.close()
  }
}

/** A layer as it was asked for, and the network's own name for it. */
interface Layer {
  readonly name: string
  readonly own: string
}

/** @throws Error listing the layers where the network has none of this name */
function layerOf({ layerNames }: ResNet, name: string): Layer {
  if (name === LOGITS || layerNames.includes(name)) return { name, own: name }
  const last = layerNames.findLast((own) => own.startsWith(`${name}.`))
  if (!last)
    throw new Error(`the network has no layer ${name}, expected ${layerNames.join(', ')} or fc`)
  return { name, own: last }
}

interface OpenedModel extends Pick<Options, 'mean' | 'std' | 'imageSize'> {
  readonly network: ResNet
}

async function openModel(gpu: Gpu, model: string, options: Options): Promise<OpenedModel> {
  const { arch, mean, std, imageSize, pool } = options
  const isFile = !statSync(model, { throwIfNoEntry: false })?.isDirectory()
  if (!isFile) {
    const { model: network, config } = await loadRun(gpu, model)
    checkArch(model, network.architecture, arch)
    return {
      network,
      ...given({ mean: config.mean, std: config.std, imageSize: config.imageSize }),
      ...given({ mean, std, imageSize }),
    }
  }
  const { tensors } = await readSafetensors(model)
  const weights = tensors as ReadonlyMap<string, StoredTensor>
  const found = networkOfWeights(model, weights)
  checkArch(model, found.arch, arch)
  const network = new ResNet({ ...found, ...given({ pool }) })
  network.parameters.allocate(gpu, 0)
  try {
    loadStateDict(gpu, network.parameters, weights)
  } catch (error) {
    throw new Error(`${model}: ${(error as Error).message}`)
  }
  return { network, ...given({ mean, std, imageSize }) }
}

function checkArch(model: string, found: string, asked: string | undefined): void {
  if (asked !== undefined && asked !== found)
    throw new Error(`${model} holds the weights of a ${found}, not of a ${asked}`)
}

/** The images of a data set, or of a file that has no labels. */
async function openInput({
  input,
  split,
}: Options): Promise<{ dataset: ImageDataset; source: ImageSource }> {
  const dataset = (await unlabelled(input)) ?? (await openImageDataset(input))
  const source = split === 'test' ? (dataset.test ?? dataset.train) : dataset.train
  return { dataset, source }
}

async function unlabelled(name: string): Promise<ImageDataset | undefined> {
  const file = name.startsWith('safetensors:') ? name.slice('safetensors:'.length) : name
  if (!file.endsWith('.safetensors')) return undefined
  const { tensors } = await readSafetensors(file)
  const images = tensors.get('images')
  if (!images) throw new Error(`${file} has no tensor images`)
  const { data, shape } = images
  if (!(data instanceof Uint8Array || data instanceof Float32Array) || shape.length !== 4)
    throw new Error(
      `${file}: images are ${data.constructor.name} [${shape}], expected u8 or f32 [N, H, W, C]`,
    )
  const [count, height, width, channels] = shape as [number, number, number, number]
  if (channels !== 1 && channels !== 3)
    throw new Error(`${file}: images have ${channels} channels, expected 1 or 3`)
  const labels = new Uint32Array(count)
  const size = { height, width }
  return {
    name,
    source: file,
    classes: 1,
    classNames: ['0'],
    size,
    channels,
    statistics: data instanceof Uint8Array ? channelStatistics(data, channels) : undefined,
    train: memorySource({ images: data, labels, count }, { ...size, channels }),
    test: undefined,
  }
}

/** Runs the network over all images and writes what the layers give. @returns their shapes */
async function write(
  gpu: Gpu,
  progress: Progress,
  network: ResNet,
  input: DecodedInput,
  layers: readonly Layer[],
  out: string,
): Promise<Map<string, readonly number[]>> {
  const bar = progress.task('Features', input.count, 'images')
  const shapes = new Map<string, readonly number[]>()
  let writer: SafetensorsWriter | undefined
  try {
    await forEachInputBatch(
      gpu,
      input,
      evaluationBatchSize(gpu, network, input),
      (tape, { images }) => activations(tape, network, images, layers),
      async (arrays, labels, done) => {
        if (!writer) {
          for (const [i, { name }] of layers.entries())
            shapes.set(name, [input.count, ...arrays[i]!.shape.slice(1)])
          writer = await SafetensorsWriter.create(out, shapes)
        }
        const first = done - labels.length
        for (const [i, { name }] of layers.entries()) {
          const values = await gpu.read(arrays[i]!)
          await writer.write(name, (first * values.length) / labels.length, values)
        }
        bar.update(done)
      },
    )
    await writer!.finish()
  } catch (error) {
    await writer?.abandon()
    throw error
  }
  return shapes
}

function activations(
  tape: Tape,
  network: ResNet,
  images: Tensor,
  layers: readonly Layer[],
): GpuArray<'f32'>[] {
  const found = new Map<string, GpuArray<'f32'>>()
  const keep = (name: string, tensor: Tensor) => {
    if (layers.some(({ own }) => own === name)) found.set(name, tape.keep(tensor).value)
  }
  const logits = network.forward(tape, images, { training: false, onLayer: keep })
  keep(LOGITS, logits)
  return layers.map(({ own }) => found.get(own)!)
}

/** Without what is undefined. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
