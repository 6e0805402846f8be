"""Files appear whole or not at all, and reading them never runs code."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from nonmember import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_failure_in_the_middle_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def fail(file: BinaryIO) -> None:
        file.write(b"half of the new con")
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        files.write(path, fail)
    assert files.read_json(path) == {"old": 1}
    assert names(tmp_path) == ["a.json"]


def test_interrupt_cleans_up_too(tmp_path: Path) -> None:
    def interrupt(file: BinaryIO) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "a", interrupt)
    assert names(tmp_path) == []


def test_nobody_sees_the_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def look(file: BinaryIO) -> None:
        file.write(b"x" * 10**6)
        file.flush()
        assert not path.exists()

    files.write(path, look)
    assert path.stat().st_size == 10**6


def test_a_full_disk_names_the_file_and_the_space(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.npy"

    def full(file: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"cannot write .*a\.npy \(No space left on device; \d+ MiB "
                       r"free there\); nothing was left half-written") as error:  # fmt: skip
        files.write(path, full)
    assert error.value.errno == errno.ENOSPC
    assert names(path.parent) == []


def test_a_full_disk_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is where some file systems say so."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot write"):
        files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]
    files.write(tmp_path / "b", lambda file: file.write(b"b"), durable=False)


def test_room_for_an_array_is_taken_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory map that finds the disk full would kill the process."""
    files.reserve_array(tmp_path / "a.npy", (1000, 500))
    array = np.load(tmp_path / "a.npy", mmap_mode="r+")
    assert array.shape == (1000, 500)
    assert array.dtype == np.float32
    taken = (tmp_path / "a.npy").stat()
    assert taken.st_blocks * 512 >= taken.st_size

    def refuse(code: int) -> None:
        def fail(handle: int, begin: int, size: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", fail)

    refuse(errno.ENOSPC)
    with pytest.raises(OSError, match=r"cannot write .*b\.npy \(No space left"):
        files.reserve_array(tmp_path / "b.npy", (3, 4))
    refuse(errno.EOPNOTSUPP)  # not every file system can
    files.reserve_array(tmp_path / "c.npy", (3, 4))


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with files.whole_folder(tmp_path / "a") as place:
        (place / "one").write_text("1")
        assert [name[:3] for name in names(tmp_path)] == [".a."]
    assert names(tmp_path) == ["a"]

    def fail() -> None:
        with files.whole_folder(tmp_path / "a") as place:
            (place / "two").write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["one"]


def test_two_fill_one_folder_at_once_and_the_later_one_stays(tmp_path: Path) -> None:
    left = tmp_path / ".a.999999999.0.tmp"  # of a killed run: no process has this number
    left.mkdir()
    with files.whole_folder(tmp_path / "a") as later:
        (later / "who").write_text("later")
        with files.whole_folder(tmp_path / "a") as sooner:
            (sooner / "who").write_text("sooner")
        assert (tmp_path / "a" / "who").read_text() == "sooner"
    assert (tmp_path / "a" / "who").read_text() == "later"
    assert names(tmp_path) == ["a"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*a/b/c \(.*\d+ MiB free there\)"):
        files.write_bytes(tmp_path / "a" / "b" / "c", b"")


def test_permissions_are_those_of_a_plain_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_hard_linked_output_is_replaced_not_rewritten(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "cache", b"old")
    os.link(tmp_path / "cache", tmp_path / "out")
    files.write_bytes(tmp_path / "out", b"new")
    assert (tmp_path / "cache").read_bytes() == b"old"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": -float("inf")}]])
def test_json_refuses_what_is_no_number(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ValueError, match=r"a\.json: NaN or infinity must not be written"):
        files.write_json(tmp_path / "a.json", value)
    assert names(tmp_path) == []


def test_json_round_trip_is_exact(tmp_path: Path) -> None:
    value = {"ü": [0.1 + 0.2, 1e-300, 2**60], "none": None}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert "ü" in (tmp_path / "a.json").read_bytes().decode("utf-8")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xfa", b"{'a': 1}"])
def test_damaged_json_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json: not valid JSON"):
        files.read_json(tmp_path / "a.json")


def test_arrays_round_trip(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "b.x": np.arange(3),
        "a": np.array([0.5, np.nan], np.float32),
        "e": np.empty((0, 2)),
    }
    files.write_arrays(tmp_path / "a.npz", arrays)
    found = files.read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    files.write_array(tmp_path / "a.npy", arrays["a"])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), arrays["a"])


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    """DVC compares content: no time may get into a file."""
    for name in ("a.npz", "b.npz"):
        files.write_arrays(tmp_path / name, {"x": np.arange(5)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match=r"a\.npz: array 'x' holds Python objects"):
        files.write_arrays(tmp_path / "a.npz", {"x": objects})
    with pytest.raises(ValueError, match="allow_pickle"):
        files.write_array(tmp_path / "a.npy", objects)
    assert names(tmp_path) == []
    np.savez(tmp_path / "evil.npz", x=objects)
    with pytest.raises(ValueError, match=r"evil\.npz: no whole \.npz of plain arrays"):
        files.read_arrays(tmp_path / "evil.npz")


def test_a_cut_npz_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    files.write_arrays(path, {"x": np.arange(100)})
    whole = path.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"a\.npz: no whole"):
            files.read_arrays(path)


def test_link_is_the_same_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "store" / "a", tmp_path / "out" / "b"
    files.write_bytes(source, b"content")
    for _ in range(2):  # the second time, they are one file already
        files.link(source, target)
        assert target.samefile(source)
        assert names(target.parent) == ["b"]
    files.write_bytes(target, b"other")
    files.link(source, target)
    assert target.read_bytes() == b"content"


def test_link_copies_where_links_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    files.write_bytes(tmp_path / "a", b"content")
    files.link(tmp_path / "a", tmp_path / "out" / "b")
    assert (tmp_path / "out" / "b").read_bytes() == b"content"
    assert not (tmp_path / "out" / "b").samefile(tmp_path / "a")
    with pytest.raises(OSError, match=r"cannot write .*c"):
        files.link(tmp_path / "absent", tmp_path / "out" / "c")
    assert names(tmp_path / "out") == ["b"]


def test_a_disk_that_is_really_full_is_said_as_such(tmp_path: Path) -> None:
    """NumPy's own error for a short write has no number and no reason."""
    script = (
        "import resource, signal, sys, numpy as np; from nonmember import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "files.write_array(sys.argv[1], np.zeros(100_000))"
    )
    path = tmp_path / "a.npy"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "is the disk full?" in done.stderr
    assert "Errno None" not in done.stderr
    assert not list(tmp_path.iterdir())
