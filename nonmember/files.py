"""Files that appear whole or not at all, and arrays and JSON that never run code when read."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    with _explained(path), _temporary(path) as temporary:
        with temporary.open("xb") as file:
            fill(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A name beside `path` that nobody has; what is still there at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A neighbour to fill, which takes the place of `folder` at the end, or goes on an error."""
    _forget_killed(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for attempt in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.rename(folder)
            return
        except OSError:  # another process was a moment faster
            if attempt == 4:
                raise


def _forget_killed(folder: Path) -> None:
    """Remove what processes that are no more left of `whole_folder`."""
    for left in folder.parent.glob(f".{folder.name}.*.*.tmp"):
        owner = left.name.removeprefix(f".{folder.name}.").partition(".")[0]
        if not (owner.isdecimal() and _alive(int(owner))):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        pass
    return True


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An OSError names the file that cannot be written and the space there is for it."""
    try:
        yield
    except OSError as error:
        there = next(folder for folder in path.absolute().parents if folder.is_dir())
        free = shutil.disk_usage(there).free / 2**20
        reason = error.strerror or f"{error}: is the disk full?"  # numpy's own have no number
        raise OSError(
            error.errno or errno.EIO,
            f"cannot write {path} ({reason}; {free:.0f} MiB free there); nothing was left "
            "half-written",
        ) from error


def reserve_array(path: str | Path, shape: tuple[int, ...]) -> None:
    """A float32 array of zeros to be filled through `np.load(path, mmap_mode="r+")`.

    Its room on the disk is taken at once: writing to a memory map that finds the disk full kills
    the process. Raises OSError naming the file and the free space.
    """
    path = Path(path)
    with _explained(path):
        np.lib.format.open_memmap(path, "w+", np.float32, shape)
        if not hasattr(os, "posix_fallocate"):
            return
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:  # a file system that cannot promise room is no full disk
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """`data` as the content of `path`, whole or not at all."""
    write(path, lambda file: file.write(data))


def write_json(path: str | Path, value: Any) -> None:
    """`value` as indented JSON; ValueError naming the file on NaN or infinity."""
    try:
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise ValueError(f"{path}: NaN or infinity must not be written ({error})") from error
    write_bytes(path, (text + "\n").encode())


def read_json(path: str | Path) -> Any:
    """The value in a JSON file; ValueError naming the file if it is not JSON."""
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:  # JSONDecodeError or UnicodeDecodeError
        raise ValueError(f"{path}: not valid JSON ({error})") from error


def write_array(path: str | Path, array: np.ndarray) -> None:
    """One array as `.npy`, never pickled."""
    write(path, lambda file: np.save(file, array, allow_pickle=False))


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Named arrays as an uncompressed `.npz`; ValueError for one that would have to be pickled."""
    for name, array in arrays.items():
        # np.savez before NumPy 2.1 takes `allow_pickle` for the name of an array.
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"{path}: array '{name}' holds Python objects, save it as numbers")
    named: dict[str, Any] = dict(arrays)
    write(path, lambda file: np.savez(file, **named))


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a `.npz`; ValueError naming the file if it is damaged or holds pickles."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: no whole .npz of plain arrays ({error})") from error


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` (a hard link, or else a copy), atomically."""
    with _explained(target), _temporary(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)  # leaves both names if they are one file already
