"""ResNet20 for small images: three stages of three basic blocks, 16, 32 and 64 channels.

Paper: He et al. 2016, section 4.2, https://arxiv.org/abs/1512.03385
Differs: a stage that changes shape has a 1×1 convolution as its shortcut (their option B),
where the paper's CIFAR networks pad with zeros (option A): 272,474 weights in place of 269,722
for three channels and ten classes.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nonmember.architectures._images import _ForImages, initialise
from nonmember.kinds import Outline


class ResNet20(_ForImages):
    """Images of any size and number of channels; the feature has 64 numbers."""

    def build(self, data: Outline) -> nn.Module:
        """See Architecture.build."""
        self.check(data)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(data.shape[0], 16, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(16),
            relu=nn.ReLU(inplace=True),
            stage1=_stage(16, 16, stride=1),
            stage2=_stage(16, 32, stride=2),
            stage3=_stage(32, 64, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(64, data.classes),
        )
        return initialise(nn.Sequential(layers))


def _stage(before: int, after: int, stride: int) -> nn.Module:
    """Three blocks; the first may change the channels and the size."""
    from torchvision.models.resnet import BasicBlock  # half a second that an MLP need not pay

    shortcut = None
    if before != after:
        conv = nn.Conv2d(before, after, 1, stride, bias=False)
        shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))
    first = BasicBlock(before, after, stride, shortcut)
    return nn.Sequential(first, BasicBlock(after, after), BasicBlock(after, after))
