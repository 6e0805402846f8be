"""The defense and the model that a task names, built."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from nonmember.architectures import architectures
from nonmember.defenses import Defense, defenses
from nonmember.kinds import Outline
from nonmember.task import Task

Build = Callable[[Task, Outline], nn.Module]


def build_defense(task: Task) -> Defense:
    """The defense with its settings; ValueError if they are wrong."""
    options = dict(task.defense)
    cls = defenses.get(options.pop("name"))
    return cls(cls.Options(**options))


def build_model(task: Task, data: Outline) -> nn.Module:
    """The architecture as the defense adapts it, freshly initialised."""
    options = dict(task.model)
    cls = architectures.get(options.pop("name"))
    model = cls(cls.Options(**options)).build(data)
    return build_defense(task).adapt(model)
