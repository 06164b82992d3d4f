// Every op of this folder, so that the registry holds them all; the gradient check walks it.
import './add.ts'
import './batchNorm.ts'
import './conv2d.ts'
import './globalAvgPool.ts'
import './linear.ts'
import './maxPool2d.ts'
import './relu.ts'
