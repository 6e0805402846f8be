"""CIFAR-10: 60,000 colour images of 32×32 pixels, 10 classes (Krizhevsky 2009).

https://www.cs.toronto.edu/~kriz/cifar.html, 163 MiB. Normalised with the constants of the CRL
experiments.
"""

from __future__ import annotations

from nonmember.datasets._torchvision import _Cifar


class Cifar10(_Cifar):
    """uint8 (60000, 3, 32, 32), train and test pooled; see `_torchvision` for the md5 check."""

    loader = "CIFAR10"
    files = "cifar-10-python.tar.gz"
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2023, 0.1994, 0.2010)
