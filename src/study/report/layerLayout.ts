/** Where one layer stands along an axis of a figure. */
export interface LayerSlot {
  name: string
  /** What its tick says: the block's number within its stage, or nothing. */
  tick: string
  /** Left (or lower) edge and centre, in pixels from the axis' origin. */
  start: number
  centre: number
}

/** A run of layers of one stage, in pixels from the axis' origin. */
export interface StageSpan {
  name: string
  start: number
  end: number
  /** How many layers it holds. */
  blocks: number
}

export interface LayerLayout {
  slots: LayerSlot[]
  stages: StageSpan[]
  /** Pixels from the first layer's edge to the last one's. */
  length: number
}

/**
 * Lays layers out along an axis, `size` pixels each, with `gap` pixels between stages. A layer called
 * `layer3.4` is block 4 of stage `layer3`; any other name is a stage of its own.
 */
export function layoutLayers(names: readonly string[], size: number, gap: number): LayerLayout {
  const slots: LayerSlot[] = []
  const stages: StageSpan[] = []
  let at = 0
  for (const name of names) {
    const block = /^(.+)\.(\d+)$/.exec(name)
    const stageName = block?.[1] ?? name
    let stage = stages.at(-1)
    if (stage?.name !== stageName || !block) {
      if (stage) at += gap
      stage = { name: stageName, start: at, end: at, blocks: 0 }
      stages.push(stage)
    }
    slots.push({ name, tick: block?.[2] ?? '', start: at, centre: at + size / 2 })
    at += size
    stage.end = at
    stage.blocks++
  }
  return { slots, stages, length: at }
}
