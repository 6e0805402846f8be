"""VGG11 with batch-norm for small images: classifier 512 → 512 → 512 → classes.

Paper: Simonyan and Zisserman 2015, configuration A, https://arxiv.org/abs/1409.1556; the
narrow classifier with dropout 0.5 is the one that papers on 32×32 images use. Dropout comes
before each hidden layer, so that the feature, the second hidden layer, is not itself dropped.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from nonmember.architectures._images import _ForImages, initialise
from nonmember.kinds import Outline


class VGG11BN(_ForImages):
    """Images of at least 32×32 pixels, any number of channels; the feature has 512 numbers."""

    pixels = 32  # survive five halvings

    def build(self, data: Outline) -> nn.Module:
        """See Architecture.build."""
        from torchvision.models.vgg import cfgs, make_layers  # slow to import

        self.check(data)
        features = make_layers(cfgs["A"], batch_norm=True)
        features[0] = nn.Conv2d(data.shape[0], 64, 3, padding=1)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            features=features,
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=_classifier(data.classes),
        )
        return initialise(nn.Sequential(layers))


def _classifier(classes: int) -> nn.Module:
    hidden = [
        layer
        for _ in range(2)
        for layer in (nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU(inplace=True))
    ]
    return nn.Sequential(*hidden, nn.Linear(512, classes))
