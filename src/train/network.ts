import type { Objective } from '../losses/objective.ts'
import { ResNet } from '../nn/resnet.ts'
import type { CompleteConfig } from './config.ts'

/** The network of a configuration, without memory. */
export function networkOf(config: CompleteConfig, classes: number, objective: Objective): ResNet {
  const { arch, width, stem, pool, init, zeroGamma } = config
  return new ResNet({ arch, width, stem, pool, init, zeroGamma, classes, head: objective })
}
