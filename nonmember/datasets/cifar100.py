"""CIFAR-100: 60,000 colour images of 32×32 pixels, 100 fine classes (Krizhevsky 2009).

https://www.cs.toronto.edu/~kriz/cifar.html, 161 MiB. Normalised with the constants of the CRL
experiments.
"""

from __future__ import annotations

from nonmember.datasets._torchvision import _Cifar


class Cifar100(_Cifar):
    """uint8 (60000, 3, 32, 32), train and test pooled; see `_torchvision` for the md5 check."""

    loader = "CIFAR100"
    files = "cifar-100-python.tar.gz"
    mean = (0.5070, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2761)
