/** Base of the errors that the GPU layer throws. */
export class GpuError extends Error {
  override name = 'GpuError'
}

/** WebGPU refused a command; the message names the kernel or the buffer. */
export class GpuValidationError extends GpuError {
  override name = 'GpuValidationError'
}

/** The device could not give the memory that was asked for. */
export class GpuOutOfMemoryError extends GpuError {
  override name = 'GpuOutOfMemoryError'
}

/** The device was lost (driver reset, removed card) or closed while work was pending. */
export class GpuDeviceLostError extends GpuError {
  override name = 'GpuDeviceLostError'
}

/** No usable adapter; the message says what to install on this platform. */
export class GpuAdapterError extends GpuError {
  override name = 'GpuAdapterError'
}

/** An error that the device reported, as ours. */
export function asGpuError(error: GPUError): GpuError {
  if (error instanceof GPUOutOfMemoryError) return new GpuOutOfMemoryError(error.message)
  if (error instanceof GPUValidationError) return new GpuValidationError(error.message)
  return new GpuError(error.message)
}
