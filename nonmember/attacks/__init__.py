"""Attacks: one file each, found by name; scores are higher for likelier members."""

from nonmember.attacks._base import Attack
from nonmember.registry import Registry

attacks: Registry[Attack] = Registry("attack", "nonmember.attacks", Attack)

__all__ = ["Attack", "attacks"]
