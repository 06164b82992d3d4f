/**
 * Variants of kernels that a tuner found fastest on a device: for each pass and class of shapes, the options of the
 * variant. Who launches the kernel says what the keys and the options are; an option that is left out is chosen by
 * shape.
 */
export type KernelChoices = Readonly<Record<string, Readonly<Record<string, boolean | number>>>>
