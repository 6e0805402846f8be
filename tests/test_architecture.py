"""What may import what; that every module stands alone; that each has a test file of its name."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT

# The modules that lie in no folder, each in an order in which it imports only those before it.
TIERS = {
    "base": ("settings", "registry", "files", "yaml12", "statistics", "features", "console",
             "signal_files", "fingerprint", "kinds", "notices", "lifeline"),
    "middle": ("ray_pool", "compute", "params", "views", "evidence", "task", "optimizers"),
    "top": ("rules", "config", "audit", "doctor"),
}  # fmt: skip
ALLOWED: dict[str, set[str]] = {  # folder or tier -> those it imports, deferred and for types too
    "base": set(),
    "datasets": {"base"},
    "architectures": {"base"},
    "queries": {"base"},
    "data": {"base", "datasets"},
    "middle": {"base", "data"},
    "metrics": {"base"},
    "attacks": {"base", "middle"},
    "defenses": {"base", "middle", "data"},
    "training": {"base", "middle", "data", "architectures", "defenses"},
    "extraction": {"base", "middle", "data", "queries", "training"},
    "reporting": {"base", "data", "metrics"},
    "plots": {"base", "middle", "metrics", "reporting"},
    "top": {
        "base", "middle", "data", "datasets", "architectures", "defenses", "queries", "attacks",
        "training", "extraction", "metrics",
    },
    "pipeline": {
        "base", "middle", "top", "data", "datasets", "defenses", "queries", "attacks", "training",
        "extraction", "metrics", "reporting", "plots",
    },
    "commands": {
        "base", "middle", "top", "defenses", "metrics", "reporting", "plots", "pipeline",
    },
    "stages": {"base", "top", "pipeline"},
}  # fmt: skip
STAGES_IMPORT = re.compile(r"nonmember\.(pipeline\.\w+|config|console)")
COVERS = {  # test file -> modules that it covers though it has another name; it speaks of each
    "architectures/test_architectures_build.py": "architectures: _base _images mlp resnet18 "
    "resnet20 vgg11_bn",
    "attacks/test_attacks_contract.py": "attacks: _base",
    "attacks/test_attacks_combined.py": "attacks: _view",
    "attacks/test_attacks_queries.py": "attacks: _noise _signal augmentation boundary_noise merlin",
    "attacks/test_attacks_reference.py": "attacks: calibration lira lira_learned rmia",
    "attacks/test_attacks_statistics.py": "attacks: _gradient confidence correctness "
    "entropy grad_w_l1 grad_w_l2 grad_x_l1 grad_x_l2 loss modified_entropy",
    "datasets/test_datasets_contract.py": "datasets: _base",
    "datasets/test_datasets_csv.py": "datasets: _tables",
    "datasets/test_datasets_npz.py": "datasets: _tokens",
    "datasets/test_datasets_torchvision.py": "datasets: cifar10 cifar100 svhn",
    "defenses/test_defenses_advreg.py": "defenses: _run",
    "defenses/test_defenses_contract.py": "defenses: _base none",
    "defenses/test_defenses_memguard.py": "defenses: _query",
    "defenses/test_defenses_crl.py": "defenses: _soft",
    "defenses/test_defenses_sam.py": "defenses: _sharpness",
    "defenses/test_defenses_swa.py": "defenses: _epochs",
    "queries/test_queries_contract.py": "queries: _base",
    "training/test_training_fleet.py": "training: fingerprint",
    "test_tokens.py": "architectures: embedding_bag",
    "plots/test_plots_tradeoff.py": "reporting: points",
    "test_pipeline.py": "pipeline: extract prepare train",
    "commands/test_commands_main.py": "commands: schema",
    "plots/test_plots_pictures.py": "plots: _arm _style attack_auc boundary canaries class_auc "
    "loss origin_boundary risk training",
}
COVERED_BY = {
    f"{modules.partition(':')[0]}.{name}": file
    for file, modules in COVERS.items()
    for name in modules.split()[1:]
}
ONE_BY_ONE = """
import importlib, sys

for name in sys.argv[1].split():
    try:
        importlib.import_module(name)
    except ImportError:  # an optional library
        pass
for name in sys.argv[2].split():
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(("nonmember", "stages"))]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {error!r}")
"""


def dotted(path: Path) -> str:
    """nonmember/data/splits.py -> nonmember.data.splits, a package without its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    dotted(path): path
    for folder in ("nonmember", "stages")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TIER_OF = {module: tier for tier, modules in TIERS.items() for module in modules}


def imports(path: Path) -> Iterator[str]:
    """What a file imports anywhere in it, dotted; of ours always a module, never a name in one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def room(module: str) -> str:
    """The folder or tier of a module."""
    top, *rest = module.split(".")
    if top == "stages":
        return top
    if not rest:  # the package itself, with its version
        return "base"
    return rest[0] if (ROOT / "nonmember" / rest[0]).is_dir() else TIER_OF[rest[0]]


def arrows() -> dict[str, set[str]]:
    """Folder or tier -> those it imports."""
    found: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        here = found.setdefault(room(module), set())
        here |= {room(other) for other in imports(path) if other in MODULES} - {room(module)}
    return found


def test_every_module_is_imported_alone() -> None:
    """As in a process of its own, but that other people's libraries are there already."""
    libraries = {
        name
        for path in MODULES.values()
        for name in imports(path)
        if name.partition(".")[0] not in {"nonmember", "stages"} | sys.stdlib_module_names
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, " ".join(sorted(libraries)), " ".join(MODULES)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_every_module_without_a_folder_has_a_tier() -> None:
    flat = [path.stem for path in (ROOT / "nonmember").glob("*.py") if path.stem != "__init__"]
    assert sorted(flat) == sorted(TIER_OF)


def test_a_tier_is_in_the_order_of_its_imports() -> None:
    for tier, modules in TIERS.items():
        for number, module in enumerate(modules):
            later = {f"nonmember.{other}" for other in modules[number:]}
            used = later & set(imports(MODULES[f"nonmember.{module}"]))
            assert not used, f"{tier}: {module} imports {used}"


def test_folders_import_only_what_they_may() -> None:
    """And the table holds no arrow that is not there."""
    there = arrows()
    more = {here: others - ALLOWED.get(here, set()) for here, others in there.items()}
    less = {here: others - there.get(here, set()) for here, others in ALLOWED.items()}
    assert {here: others for here, others in more.items() if others} == {}, "not allowed"
    assert {here: others for here, others in less.items() if others} == {}, "allowed for nothing"
    assert set(ALLOWED) == set(there)


def test_no_folder_imports_itself_by_way_of_others() -> None:
    graphlib.TopologicalSorter(arrows()).prepare()


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module: {other for other in imports(path) if other in MODULES} - {module}
        for module, path in MODULES.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


SCRIPTS = [module for module in MODULES if module.startswith("stages.")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_stage_only_calls_the_package(script: str) -> None:
    assert len(MODULES[script].read_text(encoding="utf-8").splitlines()) < 60
    for name in imports(MODULES[script]):
        assert name.partition(".")[0] in sys.stdlib_module_names or STAGES_IMPORT.fullmatch(name)


def namesake(module: str) -> str:
    """nonmember.data.splits -> data/test_data_splits.py, nonmember.audit -> test_audit.py."""
    _, *folders, name = module.split(".")
    return "/".join([*folders, "_".join(["test", *folders, name.strip("_")]) + ".py"])


TESTED = [
    module
    for module, path in MODULES.items()
    if path.name != "__init__.py" and not module.startswith("stages")
]


@pytest.mark.parametrize("module", TESTED)
def test_a_module_has_a_test_file_of_its_name(module: str) -> None:
    """Or one in COVERED_BY that speaks of it, or, if it is private, of what it is there for."""
    short = module.removeprefix("nonmember.")
    file = ROOT / "tests" / COVERED_BY.get(short, namesake(module))
    assert file.is_file(), file
    if short in COVERED_BY:
        assert not (ROOT / "tests" / namesake(module)).exists(), f"{short}: COVERS is too much"
        text = file.read_text(encoding="utf-8")
        over_all = rf"\b{short.partition('.')[0]}\.names\(\)"  # it runs over the whole registry
        if short.rpartition(".")[2].startswith("_") or not re.search(over_all, text):
            words = set(re.findall(r"\w+", text))
            assert words & spoken_of(module), f"{file} speaks of none of {spoken_of(module)}"


def spoken_of(module: str) -> set[str]:
    """The name of a module; of a private one also its classes and the modules that import it."""
    name = module.rpartition(".")[2]
    if not name.startswith("_"):
        return {name}
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    users = {user.rpartition(".")[2] for user, path in MODULES.items() if module in imports(path)}
    return {name, *classes, *users}


def test_what_is_covered_elsewhere_is_there() -> None:
    assert {f"nonmember.{short}" for short in COVERED_BY} <= set(TESTED)
