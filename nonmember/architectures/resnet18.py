"""ResNet18 for small images: a 3×3 stem of stride 1 and no max-pool.

Paper: He et al. 2016, https://arxiv.org/abs/1512.03385; the stem is the one that papers on
32×32 images use. Everything after it is torchvision's.
"""

from __future__ import annotations

from torch import nn

from nonmember.architectures._base import Architecture
from nonmember.architectures._images import check_image, initialise


class ResNet18(Architecture):
    """Images of any size and number of channels; the feature has 512 numbers."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless inputs are images."""
        check_image("resnet18", shape)

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """See Architecture.build."""
        from torchvision.models.resnet import BasicBlock, ResNet  # slow to import

        self.check(shape)
        model = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
        model.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
        return initialise(model)
