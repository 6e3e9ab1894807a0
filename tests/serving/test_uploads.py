"""Uploads: the bytes that came in, wherever they lie, and nothing left of them afterwards."""

import errno
import hashlib
import os
import pickle
import random
import tempfile
from pathlib import Path

import pytest

from sam3d_bento.options import Options
from sam3d_bento.serving.admission import Budget, Reservation
from sam3d_bento.serving.uploads import IN_MEMORY_BYTES, Upload, UploadedSubmission
from sam3d_bento.submission import Submission

SIZES = [0, 1, IN_MEMORY_BYTES, IN_MEMORY_BYTES + 1, 5 * IN_MEMORY_BYTES + 7]


def written(content, seed=1):
    """Return an upload of the content, which came in pieces of random sizes."""
    upload, position, numbers = Upload(), 0, random.Random(seed)
    while position < len(content):
        count = numbers.choice([1, 1000, 65536, 400_000])
        upload.append(content[position : position + count])
        position += count
    return upload


def open_files():
    return [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]


def _is_open(name):
    return os.path.lexists(f"/proc/self/fd/{name}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("whole", [False, True])
def test_appended_bytes_are_read_back(size, whole):
    content = random.Random(size).randbytes(size)
    upload = Upload(content) if whole else written(content)
    assert len(upload) == size
    assert upload.read() == content
    assert bytes(upload.view()) == content
    assert b"".join(upload.chunks()) == content
    assert upload.spooled == (size > IN_MEMORY_BYTES)


def test_bytes_may_be_added_after_they_were_read():
    upload = Upload(b"a" * (IN_MEMORY_BYTES + 1))
    assert len(upload.read()) == IN_MEMORY_BYTES + 1
    upload.append(b"b")
    assert upload.read()[-2:] == b"ab"


def test_a_large_upload_is_a_file_without_a_name_and_is_gone_with_the_last_reference(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    upload = Upload(bytes(2 * IN_MEMORY_BYTES))
    assert list(tmp_path.iterdir()) == []
    assert any(path.startswith(str(tmp_path)) for path in open_files())
    view = upload.view()
    del upload
    assert len(view) == 2 * IN_MEMORY_BYTES  # a view holds its pages
    del view
    assert not any(path.startswith(str(tmp_path)) for path in open_files())


def test_a_reservation_is_held_as_long_as_the_bytes():
    budget = Budget(100)
    for let_go in (Upload.close, lambda upload: None):
        request = Reservation(budget)
        request.grow(50)
        upload = Upload(b"x")
        upload.keep(request.hand_over(50))
        request.release()
        assert budget.held == 50
        let_go(upload)
        del upload
        assert budget.held == 0


@pytest.mark.parametrize("room", [0, 100_000, IN_MEMORY_BYTES + 50_000])
def test_without_room_on_the_disk_the_bytes_stay_in_memory(monkeypatch, room):
    real = os.pwrite

    def full(descriptor, content, position):
        if position >= room:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, bytes(content)[: room - position], position)

    monkeypatch.setattr(os, "pwrite", full)
    content = random.Random(room).randbytes(4 * IN_MEMORY_BYTES)
    upload = written(content)
    assert hashlib.sha256(upload.read()).digest() == hashlib.sha256(content).digest()
    assert not upload.spooled


def test_without_its_folder_an_upload_stays_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "removed"))
    content = bytes(3 * IN_MEMORY_BYTES)
    assert Upload(content).read() == content
    assert not Path(tmp_path / "removed").exists()


@pytest.mark.parametrize("mask", [None, b"mask", bytes(2 * IN_MEMORY_BYTES)])
def test_the_engine_process_gets_the_bytes(mask):
    photo = random.Random(3).randbytes(3 * IN_MEMORY_BYTES)
    options = Options(seed=3)
    uploaded = UploadedSubmission(Upload(photo), None if mask is None else Upload(mask), options)
    assert pickle.loads(pickle.dumps(uploaded)) == Submission(photo, mask, options)
