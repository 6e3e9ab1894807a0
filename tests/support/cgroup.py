"""Memory cgroups of this machine, version 1 or 2: a limit that the kernel enforces by killing."""

import contextlib
import os
import secrets
from pathlib import Path

import pytest

V1 = Path("/sys/fs/cgroup/memory")
V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class MemoryCgroup:
    """A group of processes that may take so many bytes together, page cache and tmpfs included."""

    def __init__(self, path, version, limit_bytes):
        self.path = path
        self.version = version
        path.mkdir()
        # Swap would hide what is too much.
        limits = [("memory.limit_in_bytes", limit_bytes), ("memory.memsw.limit_in_bytes", limit_bytes)]
        if version == 2:
            limits = [("memory.max", limit_bytes), ("memory.swap.max", 0)]
        (path / limits[0][0]).write_text(str(limits[0][1]))
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (path / limits[1][0]).write_text(str(limits[1][1]))

    def add(self, pid):
        """Put a process, and what it will start, into the group."""
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    @property
    def kills(self):
        """Return how many of its processes the kernel has killed because of the limit."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        fields = dict(line.split() for line in (self.path / name).read_text().splitlines())
        return int(fields["oom_kill"])

    @property
    def bytes(self):
        """Return what its processes have of their own now: anonymous memory and shared memory, no page cache."""
        fields = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        names = ("total_rss", "total_shmem") if self.version == 1 else ("anon", "shmem")
        return sum(int(fields.get(name, 0)) for name in names)

    def remove(self):
        with contextlib.suppress(OSError):  # a process that has not ended yet: the group is empty soon, and small
            self.path.rmdir()


def memory_cgroup(limit_bytes):
    """Return a new group. Skips the test, saying why, where none can be made."""
    reasons = []
    for folder, version in ((V1, 1), *((place, 2) for place in V2)):
        path = folder / f"sam3d-test-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            if version == 2 and "memory" not in (folder / "cgroup.controllers").read_text().split():
                raise OSError("no memory controller")
            if version == 2:
                (folder / "cgroup.subtree_control").write_text("+memory")
            return MemoryCgroup(path, version, limit_bytes)
        except OSError as exc:
            with contextlib.suppress(OSError):
                path.rmdir()
            reasons.append(f"{folder}: {exc.strerror or exc}")
    pytest.skip(f"no memory cgroup can be made here ({'; '.join(reasons)})")
