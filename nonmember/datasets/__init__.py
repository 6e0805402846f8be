"""Data sources: one file each, found by name."""

from nonmember.datasets._base import Arrays, Dataset
from nonmember.kinds import Outline
from nonmember.registry import Registry

datasets: Registry[Dataset] = Registry("data set", "nonmember.datasets", Dataset)

__all__ = ["Arrays", "Dataset", "Outline", "datasets"]
