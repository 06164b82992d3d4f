// jax-js on its WebGPU device: every case under jit, NCHW and OIHW as its convolution has them.
import { installDawn } from './dawn.mjs'
import { permuted, sumOfSquares, values } from './inputs.mjs'
import { serve } from './serve.mjs'

installDawn()
const jax = await import('@jax-js/jax')
const { numpy: np, lax, nn, tree } = jax
await jax.init('webgpu')
jax.defaultDevice('webgpu')

const array = (data, shape) => np.array(data, { dtype: np.float32 }).reshape(shape)
const plain = (shape, seed) => array(values(shape, seed), shape)
/** The inputs of the other engines in another order of axes. */
const reordered = (shape, seed, order) =>
  array(
    permuted(values(shape, seed), shape, order),
    order.map((axis) => shape[axis]),
  )
const NCHW = [0, 3, 1, 2]
const OIHW = [3, 2, 0, 1]

const dispose = (value) => {
  for (const leaf of tree.leaves(value)) leaf.dispose()
}

const convolve = (x, w, stride, padding) =>
  lax.conv(
    x,
    w,
    [stride, stride],
    [
      [padding, padding],
      [padding, padding],
    ],
  )

/** A jitted function of arrays that live on; each call takes a reference to each. */
function ofFunction(inputs, fn) {
  const jitted = jax.jit(fn)
  const call = () => jitted(...inputs.map((input) => input.ref))
  return {
    async run() {
      const result = call()
      await jax.blockUntilReady(result)
      dispose(result)
    },
    check: async () => sumOfSquares(await call().data()),
    release: () => dispose(inputs),
  }
}

/** The vector-Jacobian product of a function of one array. */
function pullback(fn, x, dy) {
  const [y, vjp] = jax.vjp(fn, [x])
  y.dispose()
  const [dx] = vjp(dy)
  vjp.dispose?.()
  return dx
}

const prepare = {
  matmul: ({ n }) => ofFunction([plain([n, n], 1), plain([n, n], 2)], (a, b) => np.matmul(a, b)),
  conv({ pass, batch, size, inChannels, outChannels, kernel, stride, padding, outSize }) {
    const x = reordered([batch, size, size, inChannels], 1, NCHW)
    const w = reordered([kernel, kernel, inChannels, outChannels], 2, OIHW)
    const dy = reordered([batch, outSize, outSize, outChannels], 3, NCHW)
    const passes = {
      forward: (x, w, dy) => {
        dy.dispose()
        return convolve(x, w, stride, padding)
      },
      'backward-data': (x, w, dy) => {
        const dx = pullback((x) => convolve(x, w.ref, stride, padding), x, dy)
        w.dispose()
        return dx
      },
      'backward-weights': (x, w, dy) => {
        const dw = pullback((w) => convolve(x.ref, w, stride, padding), w, dy)
        x.dispose()
        return dw
      },
    }
    return ofFunction([x, w, dy], passes[pass])
  },
  step({ batch, size, classes }) {
    const x = reordered([batch, size, size, 3], 7, NCHW)
    const hot = new Float32Array(batch * classes)
    for (let i = 0; i < batch; i++) hot[i * classes + (i % classes)] = 1
    const targets = array(hot, [batch, classes])
    let parameters = resnetParameters(classes)
    let momenta = tree.map((p) => np.zerosLike(p), tree.ref(parameters))
    let running = {
      mean: parameters.beta.map((b) => np.zerosLike(b.ref)),
      variance: parameters.beta.map((b) => np.onesLike(b.ref)),
    }
    const loss = (p, images, wanted) => {
      const { logits, statistics } = resnet(p, images)
      const mean = np.sum(nn.logSoftmax(logits, -1).mul(wanted)).mul(-1 / batch)
      return [mean, statistics]
    }
    const step = jax.jit((p, m, r, images, wanted) => {
      const [[value, statistics], gradients] = jax.valueAndGrad(loss, { hasAux: true })(
        tree.ref(p),
        images,
        wanted,
      )
      const velocity = tree.map((v, g) => v.mul(0.9).add(g), m, gradients)
      const updated = tree.map((w, v) => w.sub(v.mul(1e-3)), p, tree.ref(velocity))
      const kept = tree.map((old, now) => old.mul(0.9).add(now.mul(0.1)), r, statistics)
      return [value, updated, velocity, kept]
    })
    const advance = () => {
      let value
      ;[value, parameters, momenta, running] = step(
        parameters,
        momenta,
        running,
        x.ref,
        targets.ref,
      )
      return value
    }
    return {
      async run() {
        const value = advance()
        await jax.blockUntilReady([value, ...tree.leaves(parameters)])
        value.dispose()
      },
      check: async () => (await advance().data())[0],
      release: () => dispose([parameters, momenta, running, x, targets]),
    }
  },
}

const STAGES = [3, 4, 6, 3]

/** The convolutions of ResNet-50 v1.5 in the order in which `resnet` takes them. */
function* convolutions() {
  yield [3, 64, 7]
  let channels = 64
  for (const [stage, blocks] of STAGES.entries())
    for (let i = 0; i < blocks; i++) {
      const planes = 64 * 2 ** stage
      yield [channels, planes, 1]
      yield [planes, planes, 3]
      yield [planes, 4 * planes, 1]
      if (i === 0) yield [channels, 4 * planes, 1]
      channels = 4 * planes
    }
}

function resnetParameters(classes) {
  const parameters = { weight: [], gamma: [], beta: [] }
  for (const [inChannels, outChannels, kernel] of convolutions()) {
    const shape = [outChannels, inChannels, kernel, kernel]
    // Uniform with the variance 2 / fan-out: the inputs' is 1/12.
    const scale = Math.sqrt(24 / (kernel * kernel * outChannels))
    parameters.weight.push(plain(shape, parameters.weight.length).mul(scale))
    parameters.gamma.push(array(new Float32Array(outChannels).fill(1), [outChannels]))
    parameters.beta.push(array(new Float32Array(outChannels), [outChannels]))
  }
  parameters.last = plain([2048, classes], 2000).mul(0.04)
  parameters.bias = array(new Float32Array(classes), [classes])
  return parameters
}

/** ResNet-50 in training: logits and the batch's statistics. Consumes its arguments. */
function resnet(p, images) {
  const statistics = { mean: [], variance: [] }
  let layer = 0
  const convBn = (x, stride, relu) => {
    const i = layer++
    const kernel = p.weight[i].shape[2]
    let y = convolve(x, p.weight[i], stride, (kernel - 1) / 2)
    const [n, channels, h, w] = y.shape
    const rows = n * h * w
    const keepdims = { keepdims: true }
    const mean = np.mean(y.ref, [0, 2, 3], keepdims)
    const variance = np.mean(np.square(y.ref.sub(mean.ref)), [0, 2, 3], keepdims)
    statistics.mean.push(mean.ref.reshape([channels]))
    statistics.variance.push(variance.ref.mul(rows / Math.max(1, rows - 1)).reshape([channels]))
    const vector = (v) => v.reshape([1, channels, 1, 1])
    const scale = vector(p.gamma[i]).div(np.sqrt(variance.add(1e-5)))
    y = y.sub(mean).mul(scale).add(vector(p.beta[i]))
    return relu ? nn.relu(y) : y
  }
  let x = convBn(images, 2, true)
  // After ReLU a padding of zeros never wins.
  x = np.pad(x, [
    [0, 0],
    [0, 0],
    [1, 1],
    [1, 1],
  ])
  x = lax.reduceWindow(x, (window) => np.max(window), [3, 3], [2, 2])
  for (const [stage, blocks] of STAGES.entries())
    for (let i = 0; i < blocks; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1
      let y = convBn(x.ref, 1, true)
      y = convBn(y, stride, true)
      y = convBn(y, 1, false)
      const shortcut = i === 0 ? convBn(x, stride, false) : x
      x = nn.relu(y.add(shortcut))
    }
  return { logits: np.matmul(np.mean(x, [2, 3]), p.last).add(p.bias), statistics }
}

await serve((one) => prepare[one.op](one))
