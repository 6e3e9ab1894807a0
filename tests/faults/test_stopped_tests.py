"""A run of tests that is stopped from outside."""

import os
import signal
import sys

import pytest

from tests.support import processes
from tests.support.places import PROJECT
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_test_run_that_is_killed_leaves_no_process(tmp_path, number):
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2"]
    environment = {**os.environ, "ENDLESS_TESTS": str(tmp_path)}
    run = processes.start([*program, "tests/support/endless_tests.py"], cwd=PROJECT, env=environment)
    for name in ("store", "service"):
        until(lambda name=name: (tmp_path / name).exists() or run.poll() is not None)
    begun = {pid: processes.started(pid) for pid in processes.tree(run.pid)}
    # two parts of the run, the store, an engine; the service's supervisor, the service, its engine
    assert len(begun) >= 8
    run.send_signal(number)
    run.wait(PATIENCE)
    until(lambda: not [pid for pid, tick in begun.items() if tick is not None and processes.started(pid) == tick])
