"""ResNet18 for small images: a 3×3 stem of stride 1 and no max-pool.

Paper: He et al. 2016, https://arxiv.org/abs/1512.03385; the stem is the one that papers on
32×32 images use. Everything after it is torchvision's.
"""

from __future__ import annotations

from torch import nn

from nonmember.architectures._images import _ForImages, initialise
from nonmember.kinds import Outline


class ResNet18(_ForImages):
    """Images of any size and number of channels; the feature has 512 numbers."""

    def build(self, data: Outline) -> nn.Module:
        """See Architecture.build."""
        from torchvision.models.resnet import BasicBlock, ResNet  # slow to import

        self.check(data)
        model = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=data.classes)
        model.conv1 = nn.Conv2d(data.shape[0], 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
        return initialise(model)
