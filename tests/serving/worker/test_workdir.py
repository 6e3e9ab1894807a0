import multiprocessing
import os
import shutil

import pytest

from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir, distrust
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


def test_files_of_a_dead_process_are_removed(tmp_path):
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


def refusal(root):
    with pytest.raises(PermissionError) as raised:
        claimed(root)
    assert list(root.iterdir()) == [], "nothing is put there"
    return raised.value.strerror


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o703])
def test_a_folder_that_everybody_may_write_is_refused(root, mode):
    root.chmod(mode)
    assert refusal(root) == f"everybody may write to it (mode {mode:04o}), and it has no sticky bit"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o1777, 0o2777])
def test_a_folder_of_ones_own_is_used_and_so_is_one_with_a_sticky_or_group_bit(root, mode):
    root.chmod(mode)
    assert claimed(root).path.stat().st_mode & 0o777 == 0o700


def test_a_new_folder_is_private(tmp_path):
    claimed(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of another user")
NOBODY = 65534


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o1777, 0o2777])
def test_a_folder_of_another_user_is_refused(root, mode):
    root.chmod(mode)
    os.chown(root, NOBODY, NOBODY)
    assert refusal(root) == f"it belongs to another user, number {NOBODY}"


@needs_root
def test_a_link_of_another_user_is_refused_wherever_it_leads(tmp_path, root):
    link = tmp_path / "link"
    link.symlink_to(root)
    assert claimed(link).path.is_dir()
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert distrust(link) == f"it belongs to another user, number {NOBODY}"


def _claim_as_nobody(root):
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os._exit(0 if claimed(root).path.is_dir() else 1)


@needs_root
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_volume_that_root_mounted_is_used_by_whoever_may_write_it(small_disk, mode):
    volume = small_disk("volume", "1m")
    volume.chmod(mode)
    for folder in (volume, *volume.parents):  # pytest's folders are for their owner alone
        if folder.stat().st_mode & 0o111 != 0o111:
            folder.chmod(folder.stat().st_mode | 0o711)
    process = multiprocessing.get_context("fork").Process(target=_claim_as_nobody, args=(volume,))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("gone", ["root", "own"])
def test_a_removed_folder_is_made_again_as_private_and_locked_as_it_was(root, gone):
    workdir, other = claimed(root), WorkDir(root)
    shutil.rmtree(root if gone == "root" else workdir.path)
    with workdir.job_directory("job") as directory:
        assert directory.is_dir()
        assert workdir.path.stat().st_mode & 0o777 == 0o700
        other.claim()
        assert other.sweep() == 0, "its owner lives"


def test_replacement_of_the_folder_is_not_written_to(root, tmp_path):
    workdir = claimed(root)
    shutil.rmtree(workdir.path)
    (tmp_path / "elsewhere").mkdir()
    workdir.path.symlink_to(tmp_path / "elsewhere")

    def enter():
        with workdir.job_directory("job"):
            pass

    with pytest.raises(OSError, match="something else"):
        enter()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_service_says_in_health_why_a_folder_is_refused(serve, settings):
    settings.work_dir.mkdir()
    settings.work_dir.chmod(0o777)
    report = serve(wait_for=(WorkerState.FAILED,)).get("/health")
    assert report.status_code == 503
    assert "SAM3D_WORK_DIR" in report.json()["reason"]
    assert "everybody may write to it" in report.json()["reason"]
