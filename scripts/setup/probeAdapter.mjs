// Exits 0 where WebGPU finds an adapter, 3 where it finds none. A process of its own, because a
// driver may crash it, and one that was installed meanwhile is seen only by a new process.
import { create } from 'webgpu'

const gpu = create([])
const adapter = await gpu.requestAdapter()
process.exit(adapter ? 0 : 3)
