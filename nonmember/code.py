"""Which modules of the project a module imports, and a fingerprint of what they do."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("nonmember", "stages")


def _locate(module: str) -> Path | None:
    """The file of a module; None for a name inside a module, or for no name at all."""
    try:
        spec = importlib.util.find_spec(module) if module else None
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


@cache
def _direct(path: Path) -> frozenset[str]:
    """Names of project modules that a file imports, anywhere in it, but not only for types."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if name.split(".")[0] in PACKAGES)


def imported(modules: Iterable[str]) -> dict[str, Path]:
    """These modules and all project modules they import, however indirectly, with their files.

    Parts found by name (a defense, a data set) are not imports; name them among `modules`.
    """
    todo, seen, paths = list(modules), set[str](), dict[str, Path]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _locate(name)
        if path is None:
            continue
        paths[name] = path
        todo.extend(_direct(path))
        todo.append(name.rpartition(".")[0])
    return paths


@cache
def _meaning(path: Path) -> str:
    """The syntax tree of a file without comments, docstrings and descriptions of settings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            node.keywords = [k for k in node.keywords if k.arg != "description"]
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[0].value.value = ""
    return ast.dump(tree)


def fingerprint(modules: Iterable[str], without: Iterable[str] = ()) -> str:
    """sha256 of what these modules and their imports do, leaving out those in `without`.

    Comments, docstrings and descriptions of settings do not count.
    """
    found = imported(modules)
    digest = hashlib.sha256()
    for name in sorted(set(found) - set(without)):
        digest.update(name.encode())
        digest.update(_meaning(found[name]).encode())
    return digest.hexdigest()
