import multiprocessing
import os

import pytest

from sam3d_bento.serving.worker.workdir import WorkDir
from tests.support import descriptors


def claimed(root):
    workdir = WorkDir(root)
    workdir.claim()
    return workdir


def test_a_jobs_folder_is_private_and_gone_afterwards(tmp_path):
    workdir = claimed(tmp_path)

    def fail_in_it():
        with workdir.job_directory("job") as directory:
            (directory / "deep").mkdir()
            (directory / "deep" / "file").write_bytes(b"x")
            assert directory.stat().st_mode & 0o777 == 0o700
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_it()
    assert list(workdir.path.iterdir()) == []


def test_a_folder_that_cannot_be_removed_for_want_of_descriptors_goes_with_the_next_sweep(tmp_path):
    workdir = claimed(tmp_path)
    with workdir.job_directory("job") as directory:
        (directory / "file").write_bytes(b"x")
        shortage = descriptors.none_left()
        shortage.__enter__()
    shortage.__exit__(None, None, None)
    assert directory.exists()
    assert workdir.sweep() == 0
    assert list(workdir.path.iterdir()) == []


def _claim_and_die(root):
    workdir = claimed(root)
    (workdir.path / "left-behind").write_bytes(b"x")
    os._exit(1)


def test_what_a_dead_process_left_is_removed(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_claim_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert len(list(tmp_path.iterdir())) == 1
    workdir = claimed(tmp_path)
    assert workdir.sweep() == 1
    assert list(tmp_path.iterdir()) == [workdir.path]


def test_the_sweep_spares_the_living_and_the_strangers(tmp_path):
    mine, other = claimed(tmp_path), claimed(tmp_path)
    for name in ("notes", "boot-short", "boot-" + "g" * 32):
        (tmp_path / name).mkdir()
    (tmp_path / ("boot-" + "a" * 32)).write_text("a file, not a folder")
    assert mine.sweep() == 0
    assert other.path.is_dir()
    other.close()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ("boot-" + "0" * 32)).symlink_to(precious)
    claimed(tmp_path / "work").sweep()
    assert precious.is_dir()
