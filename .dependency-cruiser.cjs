// The layers of src/, lowest first; those on one line are siblings. A file imports only from its
// own folder and from lower lines.
const layers = [
  ['random/'],
  ['gpu/'],
  ['autograd/'],
  ['nn/', 'losses/', 'optim/'],
  ['data/'],
  ['train/'],
  ['transfer/', 'analysis/'],
  ['selfTest/', 'study/', 'bench/'],
  ['index\\.ts$'],
  ['cli/'],
]

const pathOf = (folders) => `^src/(${folders.join('|')})`
const dataLevel = layers.findIndex(([folder]) => folder === 'data/')
const belowDataButDawn = {
  path: pathOf(layers.slice(0, dataLevel).flat()),
  pathNot: '^src/gpu/openDawn\\.ts$',
}

module.exports = {
  forbidden: [
    ...layers.flatMap((siblings, level) =>
      siblings.map((folder) => ({
        name: `upward-from-${folder.replace(/\W.*/, '')}`,
        severity: 'error',
        from: { path: pathOf([folder]) },
        to: {
          path: '^(src|test|bench|scripts)/',
          pathNot: pathOf([folder, ...layers.slice(0, level).flat()]),
        },
      })),
    ),
    {
      name: 'outside-the-layers',
      comment: 'Every file of src/ stands in a layer.',
      severity: 'error',
      from: { path: '^src/', pathNot: pathOf(layers.flat()) },
      to: {},
    },
    { name: 'cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'node-below-data',
      comment: 'The engine also runs in a browser: only one file opens Dawn under Node.',
      severity: 'error',
      from: belowDataButDawn,
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'dawn-below-data',
      severity: 'error',
      from: belowDataButDawn,
      to: { path: '^node_modules/webgpu/' },
    },
  ],
  options: {
    // TypeScript 7 has no parser API; swc also sees type-only imports.
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'default', 'types'],
    },
  },
}
