"""A word beside a number: what a reader must know before believing it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Notice(BaseModel):
    """Something odd that was found and not refused.

    name: by which `dataset.accept` takes note of it, such as `near_copies`. says: one sentence
    with the counts, or more. accepted: the user has named it and knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    says: str
    accepted: bool = False

    def __str__(self) -> str:
        return f"{self.says} ({self.name}, accepted)" if self.accepted else f"{self.says}"


def accepted(notices: Iterable[Notice], names: Iterable[str]) -> list[Notice]:
    """The notices, those that are named marked as accepted."""
    known = set(names)
    return [one.model_copy(update={"accepted": one.name in known}) for one in notices]
