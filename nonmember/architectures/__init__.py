"""Models: one file each, found by name; all return logits."""

from nonmember.architectures._base import Architecture
from nonmember.registry import Registry

architectures: Registry[Architecture] = Registry("model", "nonmember.architectures", Architecture)

__all__ = ["Architecture", "architectures"]
