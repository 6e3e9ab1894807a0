"""Tests that never end, each with processes that it has started. No part of any run but that of test_stopped_tests."""

import os
import threading
from pathlib import Path

from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.settings import Settings
from tests.support.server_process import Servers
from tests.support.waiting import until


def for_ever(name):
    (Path(os.environ["ENDLESS_TESTS"]) / name).touch()
    threading.Event().wait()


def test_with_an_object_store_and_an_engine(s3, tmp_path):
    settings = Settings(work_dir=tmp_path, engine="preview")
    workdir = WorkDir(tmp_path)
    workdir.claim()
    worker = Worker("engine", "tests.support.fake_runner:FakeRunner", settings, workdir)
    worker.start()
    until(lambda: worker.ready)
    for_ever("store")


def test_with_a_service(tmp_path_factory, mask_model):
    Servers(tmp_path_factory.mktemp).start(engine="preview").wait_until(200)
    for_ever("service")
