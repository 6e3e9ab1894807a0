"""The processes of this machine, as tests start them and look at them."""

import functools
import os
import subprocess
from pathlib import Path

from sam3d_bento import parent_death

ENGINE_PROGRAM = "sam3d_bento.serving.worker"  # stands in the command line of every engine process


def start(command, **options):
    """A process that ends with the test run, however that ends. To be called in the main thread."""
    return subprocess.Popen(command, preexec_fn=functools.partial(parent_death.end_with, os.getpid()), **options)


def alive(pid):
    """Whether the process runs: one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(pid):
    """When a process has started, in clock ticks (proc(5), field 22 of stat): its number may be another's later.

    None when it has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def children(pid):
    """The process ids of the children of all its threads."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def tree(pid):
    """The process id and those of all below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]
