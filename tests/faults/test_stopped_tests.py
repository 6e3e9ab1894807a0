"""A run of tests that is stopped from outside."""

import os
import signal
import sys
import threading
import time

import pytest

from tests.support import processes
from tests.support.places import PROJECT
from tests.support.waiting import until

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_test_run_that_is_killed_leaves_no_process(tmp_path, number):
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2"]
    environment = {**os.environ, "ENDLESS_TESTS": str(tmp_path)}
    run = processes.start([*program, "tests/support/endless_tests.py"], cwd=PROJECT, env=environment)
    for name in ("store", "service"):
        until(lambda name=name: (tmp_path / name).exists() or run.poll() is not None)
    pids = processes.tree(run.pid)
    # two parts of the run, the store, an engine; the service's supervisor, the service, its engine
    assert len(pids) >= 8
    run.send_signal(number)
    run.wait(20)
    give_up = time.monotonic() + 20
    while left := [processes.command(pid) for pid in pids if processes.alive(pid)]:
        assert time.monotonic() < give_up, left
        threading.Event().wait(0.05)
