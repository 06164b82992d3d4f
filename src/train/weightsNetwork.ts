import { BasicBlock, Bottleneck } from '../nn/residualBlocks.ts'
import { type Architecture, architectures, type ResNetOptions } from '../nn/resnet.ts'
import type { StoredTensor } from '../nn/stateDict.ts'

/**
 * What the shapes of a state_dict say of its network.
 *
 * @param file what errors name
 * @throws Error naming the file, and the tensor that is missing, where the tensors are no ResNet's
 */
export function networkOfWeights(
  file: string,
  weights: ReadonlyMap<string, StoredTensor>,
): Required<Pick<ResNetOptions, 'arch' | 'classes' | 'width' | 'stem'>> {
  const shapeOf = (name: string) => {
    const shape = weights.get(name)?.shape
    if (!shape) throw new Error(`${file} has no tensor ${name}: no weights of a ResNet`)
    return shape
  }
  const [planes, , size] = shapeOf('conv1.weight') as [number, number, number]
  const block = weights.has('layer1.0.conv3.weight') ? Bottleneck : BasicBlock
  const stages = [1, 2, 3, 4].map((stage) => {
    let blocks = 0
    while (weights.has(`layer${stage}.${blocks}.conv1.weight`)) blocks++
    return blocks
  })
  const found = Object.entries(architectures).find(
    ([, expected]) => expected.block === block && `${expected.stages}` === `${stages}`,
  )
  if (!found)
    throw new Error(
      `${file} has ${stages.join(', ')} blocks in its four stages, expected those of ${Object.keys(architectures).join(', ')}`,
    )
  return {
    arch: found[0] as Architecture,
    classes: shapeOf('fc.bias')[0]!,
    width: planes / 64,
    stem: size === 3 ? 'small' : 'imagenet',
  }
}
