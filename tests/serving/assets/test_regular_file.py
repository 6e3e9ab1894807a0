import errno
import os
import time

import pytest

from sam3d_bento.serving.assets.regular_file import open_regular, stat_regular
from tests.support import odd_files


def test_a_regular_file_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with open_regular(path) as file:
        assert file.read() == b"content"
    assert stat_regular(path).st_size == 7


@pytest.mark.parametrize("make", odd_files.KINDS)
@pytest.mark.parametrize("look", [open_regular, stat_regular])
def test_nothing_else_under_the_name_is_followed_or_waited_for(tmp_path, make, look):
    make(tmp_path / "name")
    before, start = len(os.listdir("/proc/self/fd")), time.monotonic()
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "name")
    assert time.monotonic() - start < 10, "it does not wait for a writer"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_to_a_folder_on_the_way_is_the_operators_choice(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    with open_regular(tmp_path / "linked" / "file") as file:
        assert file.read() == b"x"


@pytest.mark.parametrize("make", odd_files.KINDS)
def test_what_takes_the_name_between_the_look_and_the_opening_is_not_read(tmp_path, monkeypatch, make):
    path = tmp_path / "name"
    path.write_bytes(b"x")
    opened = os.open

    def swapped_before(*arguments):
        path.unlink()
        make(path)
        return opened(*arguments)

    monkeypatch.setattr("os.open", swapped_before)
    with pytest.raises(FileNotFoundError):
        open_regular(path)


def test_a_file_that_may_not_be_read_is_another_error(tmp_path, monkeypatch):
    path = tmp_path / "name"
    path.write_bytes(b"x")

    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)  # root may read everything
    with pytest.raises(PermissionError):
        open_regular(path)
