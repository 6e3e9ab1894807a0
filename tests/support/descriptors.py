"""A shortage of file descriptors."""

import os
import resource
from contextlib import contextmanager


@contextmanager
def none_left(more=0):
    """Let this process open no more files than so many during the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    holes = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]  # the lowest free number is given out next
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(highest, *holes) + 1 + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for hole in holes:
            os.close(hole)
