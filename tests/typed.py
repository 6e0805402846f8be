"""For tests of what may be absent: `sure(x)` is x, and fails the test where x is None."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def sure(value: T | None) -> T:
    """The value; AssertionError if there is none."""
    assert value is not None
    return value
