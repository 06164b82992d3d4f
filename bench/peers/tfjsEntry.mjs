// The builds for Node register no gradients; bundling the ES modules does.
import '@tensorflow/tfjs-core/dist/register_all_gradients'
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops'
import '@tensorflow/tfjs-backend-webgpu'

export * from '@tensorflow/tfjs-core'
