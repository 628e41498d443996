import errno
import os
import time
from pathlib import Path

import pytest

from jaxgan.util.errors import FileError, UserError
from jaxgan.util.files import (
    append,
    expanded,
    files_below,
    identify,
    open_regular,
    read_bytes,
    sync,
    sync_tree,
    write_atomically,
)


def failing(name: str, number: int, monkeypatch) -> None:
    """Lets a function of `os` fail with an error that names no path."""

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"os.{name}", fail)


def test_home_directories_of_users_that_there_are_not_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a") == tmp_path / "a"
    assert expanded(Path("~nosuchuser/a")) == Path("~nosuchuser/a")


def test_a_file_is_written_and_replaced_whole(tmp_path):
    write_atomically(tmp_path / "file", b"old and long")
    write_atomically(tmp_path / "file", b"new")
    assert read_bytes(tmp_path / "file") == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_is_written_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is not a regular file"):
        write_atomically(tmp_path / "pipe", b"new")
    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("pipe", True)]


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(name, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        failing(name, errno.ENOSPC, patch)
        with pytest.raises(FileError, match=rf"^{path}: No space left on device \(fix that, then"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_into_a_folder_that_is_gone_names_the_file(tmp_path):
    for write in (write_atomically, append):
        with pytest.raises(
            FileError, match=f"^{tmp_path}/gone/.*file.*: No such file or directory"
        ):
            write(tmp_path / "gone" / "file", b"new")
    assert not (tmp_path / "gone").exists()


def test_what_is_written_is_synced_and_then_its_folder(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(number):
        synced.append((os.path.basename(os.readlink(f"/proc/self/fd/{number}")), path.exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", note)
    path = tmp_path / "file"
    write_atomically(path, b"1")
    (first, before), second = synced
    assert "file" in first and not before  # before it has its name
    assert second == (tmp_path.name, True)

    synced.clear()
    path = tmp_path / "log"
    append(path, b"1\n")
    append(path, b"2\n")
    assert [name for name, _ in synced] == ["log", tmp_path.name, "log"]
    assert path.read_bytes() == b"1\n2\n"

    synced.clear()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    sync_tree(tmp_path / "a")
    assert [name for name, _ in synced] == ["c", "b", "a"]


def test_a_file_system_that_cannot_sync_folders_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    failing("fsync", errno.EINVAL, monkeypatch)
    sync(tmp_path)
    with pytest.raises(FileError, match=f"{tmp_path}/file: Invalid argument"):
        sync(tmp_path / "file")


@pytest.mark.parametrize("mode", ["rb", "ab"])
def test_what_is_no_regular_file_is_refused_at_once(mode, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    began = time.monotonic()
    for name, told in (("pipe", "not a regular file|No such device"), ("folder", "directory")):
        with pytest.raises(UserError, match=f"{tmp_path}/{name}.*({told})"):
            with open_regular(tmp_path / name, mode):
                raise AssertionError("it was opened")
    assert time.monotonic() - began < 5


def test_a_missing_file_is_left_to_the_caller_and_other_errors_are_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "absent")
    with pytest.raises(NotADirectoryError):
        read_bytes(tmp_path / "file" / "absent")
    failing("open", errno.EIO, monkeypatch)
    with pytest.raises(FileError, match=f"{tmp_path}/file: Input/output error"):
        read_bytes(tmp_path / "file")


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "d").touch()
    (tmp_path / "a").touch()
    assert files_below(tmp_path) == [tmp_path / "a", tmp_path / "b" / "c" / "d"]
    with pytest.raises(FileNotFoundError):
        files_below(tmp_path / "absent")
    scandir = os.scandir

    def fail(path):
        if str(path).endswith("c"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(FileError, match=f"{tmp_path}/b/c: Permission denied"):
        files_below(tmp_path)


def test_folders_are_told_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    first = identify(tmp_path / "a")
    assert identify(tmp_path / "link") == first
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    assert identify(tmp_path / "b") == first != identify(tmp_path / "a")
    with pytest.raises(UserError, match=f"{tmp_path}/gone: No such file"):
        identify(tmp_path / "gone")
