import errno
import os
import re
import time
from pathlib import Path

import pytest

from sam3d_bento.errors import NoRoomToKeep, NotFound, StorageFull, StorageUnavailable
from sam3d_bento.serving.assets import DERIVED_KINDS
from sam3d_bento.serving.assets.folder import AssetFolder
from tests.support import odd_files

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path):
    return AssetFolder(tmp_path / "outputs", ttl_seconds=100, max_bytes=1000)


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


async def test_stored_asset_can_be_fetched_by_an_unguessable_id(store):
    first, second = await store.put(b"one"), await store.put(b"two")
    assert (await store.get(first)).path.read_bytes() == b"one"
    assert (await store.get(second)).path.read_bytes() == b"two"
    assert re.fullmatch(r"[0-9a-f]{32}", first)


async def test_on_a_shared_folder_each_process_answers_the_links_of_the_others(store):
    other = AssetFolder(store.root, ttl_seconds=100, max_bytes=1000)
    asset_id = await store.put(b"made here")
    assert (await other.get(asset_id)).path.read_bytes() == b"made here"
    await other.delete(asset_id)
    with pytest.raises(NotFound):
        await store.get(asset_id)


async def test_a_file_is_readable_by_its_owner_only(store):
    assert (await store.get(await store.put(b"x"))).stat.st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "asset_id", ["", "x", "../secret", "0" * 31, "0" * 32, "0" * 33, "0" * 31 + "G", "0" * 32 + "\n"]
)
async def test_an_unknown_id_is_not_found(store, tmp_path, asset_id):
    (tmp_path / "secret.glb").write_bytes(b"not ours to give")
    await store.put(b"x")
    with pytest.raises(NotFound):
        await store.get(asset_id)


async def test_a_link_expires_even_before_the_sweep_comes(store):
    asset_id = await store.put(b"x")
    path = (await store.get(asset_id)).path
    age(path, 101)
    with pytest.raises(NotFound):
        await store.get(asset_id)
    assert path.exists()
    assert store.sweep() == 1
    assert not path.exists()


async def test_a_deleted_asset_is_gone(store):
    asset_id = await store.put(b"x")
    await store.delete(asset_id)
    with pytest.raises(NotFound):
        await store.get(asset_id)
    with pytest.raises(NotFound):
        await store.delete(asset_id)


async def test_above_the_quota_the_oldest_go_first(store):
    ids = [await store.put(bytes(400)) for _ in range(2)]
    age((await store.get(ids[0])).path, 50)
    newest = await store.put(bytes(400))
    with pytest.raises(NotFound):
        await store.get(ids[0])
    assert await store.get(ids[1])
    assert await store.get(newest)
    sizes = [path.stat().st_size for path in store.root.iterdir()]
    assert (len(sizes), sum(sizes)) == (2, 800)


async def test_result_above_the_quota_is_refused_and_removes_no_asset(store):
    kept = await store.put(b"x")
    with pytest.raises(StorageFull):
        await store.put(bytes(1001))
    assert await store.get(kept)


async def test_the_sweep_removes_what_is_ours_and_old_and_nothing_else(store):
    live = await store.put(b"x")
    strangers = ["notes.txt", "model.glb", f"{'0' * 32}.glb.bak", f"{'0' * 32}.GLB", ".hidden.part"]
    for name in [*strangers, f"{'a' * 32}.glb", f".{'b' * 32}.part"]:
        (store.root / name).write_bytes(b"x")
        age(store.root / name, 10_000)
    (store.root / f".{'c' * 32}.part").write_bytes(b"being written now")
    (store.root / f"{'d' * 32}.glb").mkdir()
    assert store.sweep() == 2
    left = {path.name for path in store.root.iterdir()}
    assert left == {*strangers, f"{live}.glb", f".{'c' * 32}.part", f"{'d' * 32}.glb"}


async def test_a_link_in_the_folder_is_neither_followed_nor_removed(store, tmp_path):
    await store.put(b"x")
    target = tmp_path / "precious"
    target.write_bytes(b"x")
    age(target, 10_000)
    link = store.root / f"{'e' * 32}.glb"
    link.symlink_to(target)
    store.sweep()
    assert target.exists()
    assert link.is_symlink()


async def test_a_removed_folder_is_made_again(store):
    await store.put(b"x")
    for path in store.root.iterdir():
        path.unlink()
    store.root.rmdir()
    assert store.sweep() == 0
    assert (await store.get(await store.put(b"y"))).path.read_bytes() == b"y"


async def test_a_full_disk_is_said_and_leaves_nothing_half_written(store, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        "sam3d_bento.serving.assets.folder.Path.replace", full
    )  # the disk of a test machine is never full
    with pytest.raises(StorageFull):
        await store.put(b"x")
    assert list(store.root.iterdir()) == []


@pytest.fixture
def scan(tmp_path):
    """A factory of files in the work directory, as a run leaves its reconstruction."""

    def make(size):
        path = tmp_path / "scan"
        path.write_bytes(bytes(size))
        return path

    return make


def names(store):
    return sorted(path.name for path in store.root.iterdir())


async def test_a_reconstruction_and_a_picture_live_beside_their_glb(store, scan):
    asset_id = await store.put(b"glb", scan(10))
    await store.add(asset_id, "webp", b"picture")
    assert (await store.get(asset_id, "npz")).path.stat().st_size == 10
    assert (await store.get(asset_id, "webp")).path.read_bytes() == b"picture"
    async with store.local(asset_id, "glb", "npz", "webp") as files:
        assert set(files) == {"glb", "npz", "webp"}
    await store.delete(asset_id)
    assert names(store) == []
    for act in (store.get(asset_id, "webp"), store.add(asset_id, "webp", b"late")):
        with pytest.raises(NotFound):
            await act


async def test_a_file_that_was_not_kept_is_not_found(store):
    asset_id = await store.put(b"glb")
    with pytest.raises(NotFound):
        await store.get(asset_id, "npz")
    async with store.local(asset_id, "glb", "npz") as files:
        assert set(files) == {"glb"}


async def test_all_files_of_an_asset_expire_with_its_glb(store, scan):
    asset_id = await store.put(b"glb", scan(10))
    age(store.root / f"{asset_id}.glb", 101)
    await store.add(await store.put(b"other"), "webp", b"picture")
    for kind in ("glb", "npz"):
        with pytest.raises(NotFound):
            await store.get(asset_id, kind)
    assert store.sweep() == 2
    assert len(names(store)) == 2


async def test_reconstructions_count_in_the_quota_and_go_before_any_glb(store, scan):
    first = await store.put(bytes(100), scan(300))
    age(store.root / f"{first}.glb", 50)
    second = await store.put(bytes(100), scan(300))
    third = await store.put(bytes(100), scan(300))
    assert names(store) == sorted([f"{first}.glb", f"{second}.glb", f"{second}.npz", f"{third}.glb", f"{third}.npz"])
    await store.put(bytes(700))
    assert f"{second}.npz" not in names(store)
    assert f"{third}.npz" not in names(store)
    assert len(names(store)) == 4, "room was made without costing anyone a link"


async def test_a_reconstruction_that_never_fits_is_left_out(store, scan):
    asset_id = await store.put(bytes(100), scan(950))
    assert names(store) == [f"{asset_id}.glb"]


@pytest.fixture
def other_file_system(monkeypatch):
    """The work directory is on another file system than the results: nothing can be renamed from there."""
    replace = Path.replace

    def refuse(source, target):
        if source.name == "scan":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse)


async def test_a_reconstruction_is_moved_not_copied(store, scan):
    file = scan(10)
    inode = file.stat().st_ino
    stored = await store.get(await store.put(b"glb", file), "npz")
    assert stored.path.stat().st_ino == inode
    assert stored.path.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


async def test_a_reconstruction_comes_from_another_file_system_too(store, scan, other_file_system):
    stored = await store.get(await store.put(b"glb", scan(10)), "npz")
    assert stored.path.read_bytes() == bytes(10)
    assert stored.path.stat().st_mode & 0o777 == 0o600


async def test_a_disk_too_full_for_a_reconstruction_keeps_the_glb(store, scan, other_file_system, monkeypatch):
    def no_room(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", no_room)
    asset_id = await store.put(b"glb", scan(10))
    assert names(store) == [f"{asset_id}.glb"]


async def test_incomplete_asset_of_a_dead_writer_is_swept(store):
    await store.put(b"kept")
    for name, seconds in ((f"{'a' * 32}.npz", 700), (f"{'b' * 32}.npz", 10)):
        (store.root / name).write_bytes(b"x")
        age(store.root / name, seconds)
    assert store.sweep() == 1
    assert f"{'b' * 32}.npz" in names(store), "its GLB may be on its way"


async def test_on_a_full_disk_reconstructions_make_room_for_a_result(store, scan, monkeypatch):
    first = await store.put(b"one", scan(10))
    write = os.fdopen

    def full_while_there_are_reconstructions(*args):
        if list(store.root.glob("*.npz")):
            os.close(args[0])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*args)

    monkeypatch.setattr("os.fdopen", full_while_there_are_reconstructions)
    second = await store.put(b"two")
    assert names(store) == sorted([f"{first}.glb", f"{second}.glb"])


async def test_files_in_other_formats_count_in_the_quota_and_go_first(store, scan):
    first = await store.put(bytes(100), scan(200))
    await store.add(first, "obj.zip", bytes(200))
    age(store.root / f"{first}.glb", 50)
    second = await store.put(bytes(100), scan(200))
    await store.add(second, "splats.ply", bytes(100))
    third = await store.put(bytes(300))
    kept = [f"{first}.glb", f"{first}.npz", f"{second}.glb", f"{second}.npz", f"{second}.splats.ply", f"{third}.glb"]
    assert names(store) == sorted(kept), "the oldest of them, and no more than was needed"


@pytest.mark.parametrize("size", [1, 250, 900, 5000])
async def test_a_file_in_another_format_takes_no_room_from_a_result(store, scan, size):
    first = await store.put(bytes(300), scan(200))
    await store.add(first, "stl", bytes(300))
    second = await store.put(bytes(200))
    if size > 300:  # what is left, and what the other file of its kind has
        with pytest.raises(StorageFull):
            await store.add(second, "usdz", bytes(size))
    else:
        await store.add(second, "usdz", bytes(size))
        assert (await store.get(second, "usdz")).path.stat().st_size == size
    for asset_id in (first, second):
        assert await store.get(asset_id)
    assert await store.get(first, "npz")
    assert sum(path.stat().st_size for path in store.root.iterdir()) <= 1000


async def test_files_in_other_formats_are_deleted_and_swept_with_their_result(store):
    gone, old = await store.put(b"glb"), await store.put(b"glb")
    for asset_id in (gone, old):
        for kind in DERIVED_KINDS:
            await store.add(asset_id, kind, b"made")
            assert (await store.get(asset_id, kind)).path.read_bytes() == b"made"
    await store.delete(gone)
    assert not [name for name in names(store) if name.startswith(gone)]
    age(store.root / f"{old}.glb", 101)
    assert store.sweep() == 1 + len(DERIVED_KINDS)
    assert names(store) == []


async def test_on_a_full_disk_files_in_other_formats_make_room_for_a_result(store, monkeypatch):
    await store.add(await store.put(b"one"), "stl", b"made")
    write = os.fdopen

    def full_while_there_are_others(*args):
        if list(store.root.glob("*.stl")):
            os.close(args[0])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*args)

    monkeypatch.setattr("os.fdopen", full_while_there_are_others)
    assert await store.get(await store.put(b"two"))


@pytest.mark.parametrize("make", odd_files.KINDS)
async def test_a_reconstruction_that_is_no_regular_file_is_left_out_and_nothing_it_leads_to_is_changed(
    store, tmp_path, make
):
    make(tmp_path / "scan")
    target = tmp_path / "target-of-link"
    before = target.stat() if target.exists() else None
    asset_id = await store.put(b"glb", tmp_path / "scan")
    assert names(store) == [f"{asset_id}.glb"]
    assert before is None or target.stat().st_mode == before.st_mode


@pytest.mark.parametrize("make", [kind for kind in odd_files.KINDS if kind is not odd_files.folder])
async def test_existing_file_is_replaced_and_not_written_to(store, make):
    asset_id = await store.put(b"glb")
    make(store.root / f"{asset_id}.webp")
    await store.add(asset_id, "webp", b"picture")
    assert (await store.get(asset_id, "webp")).path.read_bytes() == b"picture"
    target = store.root / "target-of-link"
    assert not target.exists() or target.read_bytes() == b"not for everybody"


async def test_a_folder_under_the_name_of_a_new_file_is_a_retryable_problem_and_stays(store):
    asset_id = await store.put(b"glb")
    (store.root / f"{asset_id}.webp").mkdir()
    with pytest.raises(StorageUnavailable):
        await store.add(asset_id, "webp", b"picture")
    assert names(store) == sorted([f"{asset_id}.glb", f"{asset_id}.webp"])


@pytest.fixture
def keeping(tmp_path):
    return AssetFolder(tmp_path / "outputs", ttl_seconds=100, max_bytes=1000, keep_max_bytes=500)


async def test_a_kept_result_outlives_its_time_and_other_processes_know(keeping):
    kept, passing = await keeping.put(b"kept"), await keeping.put(b"passing")
    await keeping.add(kept, "stl", b"solid")
    await keeping.keep(kept)
    await keeping.keep(kept)  # changes nothing
    for asset_id in (kept, passing):
        age((keeping.root / f"{asset_id}.glb"), 101)
    without_setting = AssetFolder(keeping.root, ttl_seconds=100, max_bytes=1000)
    assert without_setting.sweep() == 1
    assert (await without_setting.get(kept)).path.read_bytes() == b"kept"
    found = await without_setting.look_up(kept)
    assert (found.expires_in_seconds, found.sizes) == (None, {"glb": 4, "stl": 5, "kept": 0})
    with pytest.raises(NotFound):
        await without_setting.get(passing)


async def test_a_result_that_is_no_longer_kept_expires_as_if_it_had_never_been(keeping):
    old, young = await keeping.put(b"old"), await keeping.put(b"young")
    for asset_id in (old, young):
        await keeping.keep(asset_id)
    age(keeping.root / f"{old}.glb", 101)
    for asset_id in (old, young):
        await keeping.release(asset_id)
    with pytest.raises(NotFound):
        await keeping.get(old)
    assert 0 < (await keeping.look_up(young)).expires_in_seconds <= 100
    await keeping.release(young)  # changes nothing


async def test_kept_results_have_a_quota_of_their_own(keeping):
    kept = await keeping.put(b"k" * 400)
    await keeping.keep(kept)
    for _ in range(5):  # more than the quota of the others
        last = await keeping.put(b"x" * 400)
    assert (await keeping.get(kept)).path.read_bytes() == b"k" * 400
    with pytest.raises(NoRoomToKeep, match="quota"):
        await keeping.keep(last)
    assert (await keeping.look_up(last)).expires_in_seconds is not None
    await keeping.delete(kept)
    await keeping.keep(last)
    assert list(keeping.root.glob(f"{kept}.*")) == []


async def test_files_in_other_formats_make_room_for_results_to_keep_and_are_never_in_their_way(keeping):
    first, second = await keeping.put(b"1" * 200), await keeping.put(b"2" * 200)
    await keeping.keep(first)
    await keeping.add(first, "stl", b"s" * 200)
    with pytest.raises(StorageFull):
        await keeping.add(first, "webp", b"w" * 400)
    assert set((await keeping.look_up(first)).sizes) == {"glb", "kept"}, "the STL was removed for room"
    await keeping.add(first, "stl", b"s" * 200)
    await keeping.keep(second)
    assert [set((await keeping.look_up(one)).sizes) for one in (first, second)] == [{"glb", "kept"}] * 2


async def test_a_store_without_the_quota_keeps_nothing_and_says_so(store):
    asset_id = await store.put(b"x")
    with pytest.raises(NotFound, match="keeps no results"):
        await store.keep(asset_id)


async def test_only_results_that_exist_can_be_kept(keeping):
    for act in (keeping.keep, keeping.release, keeping.look_up):
        with pytest.raises(NotFound):
            await act("0" * 32)


async def test_a_full_disk_takes_nothing_from_kept_results(keeping, tmp_path, monkeypatch):
    (tmp_path / "scan.npz").write_bytes(b"scan")
    kept = await keeping.put(b"kept", tmp_path / "scan.npz")
    await keeping.keep(kept)
    write = AssetFolder._write

    def refused(self, asset_id, kind, fill):
        if asset_id != kept:
            raise StorageFull("The disk is full.")
        write(self, asset_id, kind, fill)

    monkeypatch.setattr(AssetFolder, "_write", refused)
    with pytest.raises(StorageFull):
        await keeping.put(b"another")
    assert set((await keeping.look_up(kept)).sizes) == {"glb", "npz", "kept"}
