"""Registries by file name: `name: crl` in params.yaml finds the class in `defenses/crl.py`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """The parts of one kind: a package with one module, holding one class, for each.

    Modules whose names start with an underscore are not parts. A module is imported when it is
    asked for, so a stage pays only for what it uses.
    """

    def __init__(self, kind: str, package: str, base: type[T]) -> None:
        self.kind = kind
        self.package = package
        self.base = base

    def names(self) -> list[str]:
        """The names of all parts, sorted, without importing them."""
        path = importlib.import_module(self.package).__path__
        return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))

    def get(self, name: str) -> type[T]:
        """The class called `name`; ValueError listing the known names if there is none."""
        known = self.names()
        if name not in known:
            raise ValueError(f"unknown {self.kind} '{name}', known: {', '.join(known)}")
        module = importlib.import_module(f"{self.package}.{name}")
        classes = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ]
        if len(classes) != 1:
            raise TypeError(
                f"{module.__name__} must define one {self.base.__name__}, not {classes}"
            )
        return classes[0]

    def __iter__(self) -> Iterator[tuple[str, type[T]]]:
        return ((name, self.get(name)) for name in self.names())

    def by_class_name(self, class_name: str) -> type[T]:
        """The part whose class is called `class_name`; AttributeError if there is none."""
        for _, cls in self:
            if cls.__name__ == class_name:
                return cls
        raise AttributeError(f"module '{self.package}' has no attribute '{class_name}'")
