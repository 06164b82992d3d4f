// TensorFlow.js with its WebGPU backend: kernels one by one, a step by minimize().
import { installDawn } from './dawn.mjs'
import { sumOfSquares, values } from './inputs.mjs'
import { serve } from './serve.mjs'

installDawn()
const tf = await import('./build/tfjs.mjs')
await tf.setBackend('webgpu')
await tf.ready()
const backend = tf.backend()

const tensor = (shape, seed) => tf.tensor(values(shape, seed), shape)

/** Resolves when the device has done all that was asked of it. */
async function finish() {
  backend.endComputePassEncoder()
  if (backend.commandEncoder) backend.submitQueue()
  await backend.device.queue.onSubmittedWorkDone()
}

/** A case of one kernel: run it, wait, drop its result. */
function ofKernel(inputs, kernel) {
  return {
    async run() {
      const result = kernel()
      await finish()
      result.dispose()
    },
    async check() {
      const result = kernel()
      const data = await result.data()
      result.dispose()
      return sumOfSquares(data)
    },
    release: () => tf.dispose(inputs),
  }
}

const prepare = {
  matmul({ n }) {
    const [a, b] = [tensor([n, n], 1), tensor([n, n], 2)]
    return ofKernel([a, b], () => tf.matMul(a, b))
  },
  conv({ pass, batch, size, inChannels, outChannels, kernel, stride, padding, outSize }) {
    const x = tensor([batch, size, size, inChannels], 1)
    const filter = tensor([kernel, kernel, inChannels, outChannels], 2)
    const dy = tensor([batch, outSize, outSize, outChannels], 3)
    const attributes = { strides: [stride, stride], pad: padding, dataFormat: 'NHWC' }
    const kernels = {
      forward: () => tf.conv2d(x, filter, stride, padding),
      'backward-data': () =>
        tf
          .engine()
          .runKernel('Conv2DBackpropInput', { dy, filter }, { ...attributes, inputShape: x.shape }),
      'backward-weights': () =>
        tf
          .engine()
          .runKernel(
            'Conv2DBackpropFilter',
            { x, dy },
            { ...attributes, filterShape: filter.shape },
          ),
    }
    return ofKernel([x, filter, dy], kernels[pass])
  },
  step({ batch, size, classes }) {
    const model = new ResNet50(classes)
    const x = tensor([batch, size, size, 3], 7)
    const labels = tf.tensor1d(
      Array.from({ length: batch }, (_, i) => i % classes),
      'int32',
    )
    const targets = tf.tidy(() => tf.cast(tf.oneHot(labels, classes), 'float32'))
    // Variables exist from the first pass on, and minimize() asks for them before its own.
    tf.dispose(tf.tidy(() => model.logits(x)))
    model.updateRunning()
    const optimizer = tf.train.momentum(1e-3, 0.9)
    const step = () =>
      optimizer.minimize(() => tf.losses.softmaxCrossEntropy(targets, model.logits(x)), true)
    return {
      async run() {
        const loss = step()
        model.updateRunning()
        await finish()
        loss.dispose()
      },
      async check() {
        const loss = step()
        model.updateRunning()
        const [value] = await loss.data()
        loss.dispose()
        return value
      },
      release: () => tf.dispose([...model.variables, x, labels, targets]),
    }
  },
}

/** ResNet-50 v1.5 with torchvision's topology, of core ops. */
class ResNet50 {
  variables = []
  #layers = new Map()
  #statistics = []

  constructor(classes) {
    this.classes = classes
  }

  /** The variables of a layer, made when it is first asked for. */
  #layer(name, make) {
    if (!this.#layers.has(name)) {
      // Inside minimize() everything else is dropped at the end.
      const variables = tf.tidy(() => make()).map((value) => tf.keep(value))
      this.#layers.set(name, variables)
      this.variables.push(...variables)
    }
    return this.#layers.get(name)
  }

  #convolve(name, x, channels, kernel, stride) {
    const inChannels = x.shape[3]
    const [filter] = this.#layer(name, () => [
      tf.variable(
        tf.randomNormal(
          [kernel, kernel, inChannels, channels],
          0,
          Math.sqrt(2 / (kernel * kernel * channels)),
        ),
      ),
    ])
    return tf.conv2d(x, filter, stride, (kernel - 1) / 2)
  }

  #normalise(name, x) {
    const channels = x.shape[3]
    const [gamma, beta, runningMean, runningVariance] = this.#layer(name, () => [
      tf.variable(tf.ones([channels])),
      tf.variable(tf.zeros([channels])),
      tf.variable(tf.zeros([channels]), false),
      tf.variable(tf.ones([channels]), false),
    ])
    const { mean, variance } = tf.moments(x, [0, 1, 2])
    const rows = x.size / channels
    this.#statistics.push(
      [runningMean, tf.keep(tf.clone(mean))],
      [runningVariance, tf.keep(tf.mul(variance, rows / Math.max(1, rows - 1)))],
    )
    return tf.batchNorm(x, mean, variance, beta, gamma, 1e-5)
  }

  #block(name, x, planes, stride, projects) {
    let y = tf.relu(this.#normalise(`${name}.bn1`, this.#convolve(`${name}.1`, x, planes, 1, 1)))
    y = tf.relu(this.#normalise(`${name}.bn2`, this.#convolve(`${name}.2`, y, planes, 3, stride)))
    y = this.#normalise(`${name}.bn3`, this.#convolve(`${name}.3`, y, 4 * planes, 1, 1))
    const shortcut = projects
      ? this.#normalise(`${name}.bn4`, this.#convolve(`${name}.4`, x, 4 * planes, 1, stride))
      : x
    return tf.relu(tf.add(y, shortcut))
  }

  logits(images) {
    let x = tf.relu(this.#normalise('bn', this.#convolve('stem', images, 64, 7, 2)))
    x = tf.maxPool(x, 3, 2, 1)
    for (const [stage, blocks] of [3, 4, 6, 3].entries())
      for (let i = 0; i < blocks; i++)
        x = this.#block(`${stage}.${i}`, x, 64 * 2 ** stage, stage > 0 && i === 0 ? 2 : 1, i === 0)
    const features = tf.mean(x, [1, 2])
    const [weight, bias] = this.#layer('fc', () => [
      tf.variable(tf.randomUniform([2048, this.classes], -0.02, 0.02)),
      tf.variable(tf.zeros([this.classes])),
    ])
    return tf.add(tf.matMul(features, weight), bias)
  }

  /** Running statistics, as PyTorch keeps them: momentum 0.1. */
  updateRunning() {
    for (const [variable, value] of this.#statistics) {
      tf.tidy(() => variable.assign(tf.add(tf.mul(variable, 0.9), tf.mul(value, 0.1))))
      value.dispose()
    }
    this.#statistics = []
  }
}

await serve((one) => prepare[one.op](one))
