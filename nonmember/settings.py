"""The base of every settings class: frozen, strict, no unknown keys, no NaN or infinity."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one part (a defense, a data set …), checked when they are created.

    A subclass lists its keys as fields with a default, a range (`Field(ge=…, le=…)`) and a
    `description`; the checks, the documentation and the JSON come from those.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )
