"""PyTorch on the CPU; the protocol is that of serve.mjs. argv[1]: threads."""

import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

torch.set_num_threads(int(sys.argv[1]))
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def values(shape, seed):
    """As inputs.mjs makes them."""
    with np.errstate(over="ignore"):
        h = np.arange(int(np.prod(shape)), dtype=np.uint32) ^ (
            np.uint32(seed) * np.uint32(0x9E3779B1)
        )
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h = h ^ (h >> np.uint32(16))
    return torch.from_numpy((h / 2.0**32 - 0.5).astype(np.float32).reshape(shape))


def sum_of_squares(tensor):
    return float((tensor.double() ** 2).sum())


class Kernel:
    def __init__(self, function):
        self.run = function

    def check(self):
        return sum_of_squares(self.run())


class Step:
    def __init__(self, batch, size, classes):
        self.model = torchvision.models.resnet50(num_classes=classes)
        self.x = values((batch, size, size, 3), 7).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.arange(batch) % classes
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def check(self):
        return float(self.run())


def convolution(case):
    batch, size, out = case["batch"], case["size"], case["outSize"]
    kernel, stride, padding = case["kernel"], case["stride"], case["padding"]
    inner, outer = case["inChannels"], case["outChannels"]

    def nchw(tensor):
        return tensor.permute(0, 3, 1, 2).contiguous()

    x = nchw(values((batch, size, size, inner), 1))
    w = values((kernel, kernel, inner, outer), 2).permute(3, 2, 0, 1).contiguous()
    dy = nchw(values((batch, out, out, outer), 3))
    if case["pass"] == "forward":
        return Kernel(lambda: F.conv2d(x, w, stride=stride, padding=padding))
    wants_x = case["pass"] == "backward-data"
    mask = [wants_x, not wants_x, False]

    def backward():
        both = torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
        )
        return both[0 if wants_x else 1]

    return Kernel(backward)


def prepare(case):
    if case["op"] == "matmul":
        a, b = values((case["n"],) * 2, 1), values((case["n"],) * 2, 2)
        return Kernel(lambda: a @ b)
    if case["op"] == "conv":
        return convolution(case)
    return Step(case["batch"], case["size"], case["classes"])


current = None
for line in sys.stdin:
    request, argument = next(iter(json.loads(line).items()))
    try:
        if request == "prepare":
            current = prepare(argument)
            current.run()
            answer = {"check": current.check()}
        elif request == "time":
            start = time.perf_counter()
            current.run()
            answer = {"ms": 1000 * (time.perf_counter() - start)}
        else:
            current = None
            answer = {}
    except Exception as error:
        answer = {"reason": str(error).split("\n")[0][:200]}
    print(json.dumps(answer), file=answers, flush=True)
