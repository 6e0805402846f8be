"""The console command: `nonmember COMMAND …`, one file of this folder each."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

from nonmember import commands, console


def names() -> list[str]:
    """The commands there are, sorted."""
    found = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return sorted(name for name in found if not name.startswith("_"))


def usage() -> str:
    """Every command with the first line of its module, which is not imported for it."""
    lines = ["usage: nonmember COMMAND …, run in the repository's root", ""]
    for name in names():
        text = Path(*commands.__path__, f"{name}.py").read_text(encoding="utf-8")
        first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        lines.append(f"  {name:<10} {first}")
    return "\n".join([*lines, "", "nonmember COMMAND --help says more"])


def main() -> None:
    """Run the command that the process was called with; code 2 if there is none of that name."""
    chosen, *rest = sys.argv[1:] or ["--help"]
    if chosen in ("-h", "--help"):
        print(usage())
        return
    if chosen not in names():
        print(f"unknown command {chosen!r}\n\n{usage()}", file=sys.stderr)
        sys.exit(2)
    module = importlib.import_module(f"nonmember.commands.{chosen}")
    add = getattr(module, "add_arguments", None)
    console.run(module.main, module.__doc__, add=add, name=f"nonmember {chosen}", arguments=rest)


if __name__ == "__main__":
    main()
