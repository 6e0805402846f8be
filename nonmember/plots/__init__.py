"""Pictures of an audit: numbers in, PNG out. Importing this loads no matplotlib; drawing does."""

from nonmember.plots._arm import Arm
from nonmember.plots.pictures import PICTURES, draw
from nonmember.plots.roc import roc_rows

__all__ = ["PICTURES", "Arm", "draw", "roc_rows"]
