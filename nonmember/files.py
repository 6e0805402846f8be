"""Files that appear whole or not at all, and arrays and JSON that never run code when read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def write(path: str | Path, fill: Callable[[BinaryIO], object], durable: bool = True) -> None:
    """Write `path` through a temporary neighbour and `os.replace`.

    durable: wait until the disk has it, so that even a power cut leaves the file whole.

    Raises OSError naming the file and the free space if it cannot be written (a full disk);
    neither a half-written file nor the temporary one stays behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            free = shutil.disk_usage(path.parent).free / 2**20
            raise OSError(
                error.errno,
                f"cannot write {path} ({error.strerror or error}; {free:.0f} MiB free there); "
                "nothing was left half-written",
            ) from error
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """`data` as the content of `path`, whole or not at all."""
    write(path, lambda file: file.write(data))


def write_json(path: str | Path, value: Any) -> None:
    """`value` as indented JSON; ValueError on NaN or infinity."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: str | Path) -> Any:
    """The value in a JSON file; ValueError naming the file if it is not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error


def write_array(path: str | Path, array: np.ndarray) -> None:
    """One array as `.npy`, never pickled."""
    write(path, lambda file: np.save(file, array, allow_pickle=False))


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Named arrays as an uncompressed `.npz`, never pickled."""
    write(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a `.npz`; refuses pickled ones."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` (a hard link, or else a copy), atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
