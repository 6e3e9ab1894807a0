import os

import pytest

from sam3d_bento.serving.worker import shared_memory
from sam3d_bento.serving.worker.shared_memory import SharedMemory


@pytest.fixture(params=["memfd", "file"])
def memory(request, monkeypatch):
    """Shared memory of Linux, and that of other systems."""
    if request.param == "file":
        monkeypatch.delattr(shared_memory.os, "memfd_create")
    made = SharedMemory()
    yield made
    made.close()


def test_what_one_writes_another_reads(memory):
    with os.fdopen(os.dup(memory.descriptor), "r+b") as writer:
        writer.write(b"a mesh")
    assert os.pread(memory.descriptor, 100, 0) == b"a mesh"


def test_it_has_no_name_that_could_stay(memory):
    assert os.fstat(memory.descriptor).st_nlink == 0


def test_it_is_closed_once_even_if_it_is_asked_twice(memory):
    descriptor = memory.descriptor
    memory.close()
    other = os.open(os.devnull, os.O_RDONLY)
    if other != descriptor:
        os.dup2(other, descriptor)  # the number is another file's now
        os.close(other)
    memory.close()
    os.close(descriptor)  # raises if it was closed
