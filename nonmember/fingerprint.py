"""Which modules of the project a module imports, and a fingerprint of what they do."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("nonmember", "stages")
# Attributes of a class that only the documentation reads.
TALK = {"paper", "changes", "limits", "try_first"}


def _locate(module: str) -> Path | None:
    """The file of a module, found without importing it; None for a name inside a module."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top in PACKAGES else None
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    candidates = [place / "__init__.py"] + ([Path(f"{place}.py")] if rest else [])
    return next((path for path in candidates if path.is_file()), None)


@cache
def _direct(path: Path) -> frozenset[str]:
    """Names of project modules that a file imports, anywhere in it, but not only for types."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"{path}, line {node.lineno}: write the import with the full name")
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in names if name.split(".")[0] in PACKAGES)


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
    """The syntax tree of a file without comments, docstrings and other words for people."""
    return ast.dump(_Bare().visit(ast.parse(path.read_text(encoding="utf-8"))))


class _Bare(ast.NodeTransformer):
    """Takes out what says something to people only."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A string that stands alone, such as a docstring, does nothing."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """A class without `paper = …` and its like."""
        node.body = [
            line
            for line in node.body
            if not (isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) in TALK)
        ]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """`Field(0.1, ge=0, description=…)` without the description."""
        node.keywords = [k for k in node.keywords if k.arg != "description"]
        return self.generic_visit(node)


def of_code(modules: Iterable[str], without: Iterable[str] = ()) -> str:
    """sha256 of what these modules and their imports do, leaving out those in `without`.

    Comments, docstrings, descriptions of settings and what `TALK` names do not count.
    """
    paths = imported(modules)
    digest = hashlib.sha256()
    for name in sorted(set(paths) - set(without)):
        digest.update(name.encode())
        digest.update(_meaning(paths[name]).encode())
    return digest.hexdigest()
