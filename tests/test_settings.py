"""Settings: frozen, strict, no unknown key, no NaN, and defaults that keep their own rules."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, ValidationError

from nonmember.settings import Settings


class Sample(Settings):
    """A part's keys."""

    share: float = Field(0.5, ge=0, le=1, description="of something")
    count: int = 3


def test_they_do_not_change() -> None:
    sample = Sample()
    with pytest.raises(ValidationError, match="frozen"):
        sample.share = 0.1  # type: ignore[misc]
    assert sample.share == 0.5


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"shaer": 0.5}, "shaer"),
        ({"share": 1.5}, "share"),
        ({"share": float("nan")}, "share"),
        ({"share": "0.5"}, "share"),  # strict: text is no number
        ({"count": True}, "count"),
        ({"count": 3.0}, "count"),
    ],
)
def test_a_wrong_key_or_value_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as error:
        Sample(**values)
    assert [item["loc"] for item in error.value.errors()] == [(key,)]


def test_a_default_outside_its_range_is_refused() -> None:
    class Odd(Settings):
        share: float = Field(2.0, le=1)

    with pytest.raises(ValidationError, match="share"):
        Odd()


def test_equal_settings_are_equal_and_survive_json() -> None:
    sample = Sample(share=0.25)
    assert Sample(**sample.model_dump(mode="json")) == sample != Sample()
