"""ResNet-50 v1.5 with a width multiplier, with torchvision's parameter names.

The blocks are torchvision's own `Bottleneck` (stride on the 3x3 convolution); only the channel
counts differ: planes = max(1, round(64 * width)) * {1, 2, 4, 8}, expansion 4.
"""

import torch
from torch import nn
from torchvision.models.resnet import Bottleneck, conv1x1

BLOCKS = (3, 4, 6, 3)
LAYER_NAMES = [f'layer{i + 1}.{j}' for i, n in enumerate(BLOCKS) for j in range(n)] + ['avgpool']


def base_planes(width):
    """Channels of the stem for a width multiplier (64 at width 1)."""
    return max(1, int(64 * width + 0.5))


class ResNet50(nn.Module):
    """[3, 4, 6, 3] bottlenecks. `forward` takes NCHW and returns logits [N, classes]."""

    def __init__(self, width=1.0, classes=10):
        super().__init__()
        planes = base_planes(width)
        self.conv1 = nn.Conv2d(3, planes, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=False)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = planes
        for i, count in enumerate(BLOCKS):
            blocks = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                out = planes * 2**i * Bottleneck.expansion
                down = None
                if j == 0:
                    down = nn.Sequential(conv1x1(channels, out, stride), nn.BatchNorm2d(out))
                block = Bottleneck(channels, planes * 2**i, stride, down)
                block.relu = nn.ReLU(inplace=False)
                blocks.append(block)
                channels = out
            setattr(self, f'layer{i + 1}', nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def features(self, x):
        """The 17 layers: 16 block outputs (after the residual ReLU, NCHW) and the penultimate [N, C]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        layers = []
        for i in range(len(BLOCKS)):
            for block in getattr(self, f'layer{i + 1}'):
                x = block(x)
                layers.append(x)
        layers.append(torch.flatten(self.avgpool(x), 1))
        return layers

    def forward(self, x):
        return self.fc(self.features(x)[-1])


def init_torchvision(model):
    """torchvision's start: kaiming fan-out convolutions, gamma 1 (0 in the last of a block).

    The classifier keeps `nn.Linear`'s default, uniform in +-1/sqrt(fan_in) for weight and bias.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    for module in model.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
    return model


def sgd(model, lr, momentum=0.9, weight_decay=8e-5):
    """SGD with Nesterov momentum; decay on convolution and classifier weights only."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {'params': decayed, 'weight_decay': weight_decay},
        {'params': others, 'weight_decay': 0.0},
    ]
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=True)
