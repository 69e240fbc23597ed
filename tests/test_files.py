"""Files appear whole or not at all, with the rights the user wants, wherever they may lie."""

import errno
import os
import stat
import sys

import pytest

from csae import files


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_who_may_read_follows_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_whole(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def refuse(number):
    def refusing(*_, **__):
        raise OSError(number, os.strerror(number))

    return refusing


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_what_a_file_system_has_not_is_passed_over(tmp_path, monkeypatch, number):
    for operation in ("chmod", "fsync"):
        monkeypatch.setattr(os, operation, refuse(number))
    files.write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_loss_is_told_with_the_name_of_the_file(tmp_path, monkeypatch, number):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        files.write_whole(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_flushed_or_opened_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", refuse(errno.EACCES))
    files.write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_all_files_or_none(tmp_path, monkeypatch):
    whole = files.write_whole
    contents = {tmp_path / "a" / "b" / "one": b"1", tmp_path / "c" / "two": b"2"}

    def full(path, content):
        if path.name == "two":
            refuse(errno.ENOSPC)()
        whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full)
        with pytest.raises(OSError, match="No space"):
            files.write_all(contents)
    assert not any(tmp_path.iterdir())
    files.write_all(contents)
    assert {path: path.read_bytes() for path in contents} == contents


def test_folders_that_were_there_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "write_whole", refuse(errno.ENOSPC))
    (tmp_path / "mine").mkdir()
    with pytest.raises(OSError, match="No space"):
        files.write_all({tmp_path / "mine" / "new" / "file": b""})
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which nobody can write into")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    files.check_can_write("out", tmp_path / "new" / "newer")
    assert not any(tmp_path.iterdir())  # looking leaves no trace
    with pytest.raises(ValueError, match="out must lie where files can be written"):
        files.check_can_write("out", files.Path("/proc/new"))
