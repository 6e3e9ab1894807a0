"""Full disks, folders that go away, and two processes on one folder."""

import dataclasses
import shutil
import threading

import httpx
import pytest

from tests.support.asking import asking, files_below, health, post, problem, well
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def cramped(start_faulty, small_disk):
    """A server whose work and output folders are file systems of a megabyte."""
    folders = {name: small_disk(name, "1m") for name in ("work_dir", "output_dir")}
    server = dataclasses.replace(start_faulty(**folders), **folders)
    server.wait_until(200)
    return server


def test_a_full_output_disk_is_said_and_the_next_small_result_is_kept(cramped, photo):
    assert problem(post(cramped, b"large:3000000")) == (507, "storage_full", True)
    assert files_below(cramped.output_dir) == [], "nothing half-written"
    answer = post(cramped, photo)
    assert answer.status_code == 200
    stored = httpx.get(f"{cramped.url}/api/assets/{answer.headers['x-asset-id']}.glb")
    assert stored.content == answer.content


def test_a_full_work_disk_is_said_to_the_run_that_needs_it_and_to_no_upload(cramped, photo):
    upload = httpx.post(f"{cramped.url}/api/inference", files={"image": bytes(4_000_000)}, timeout=PATIENCE)
    assert problem(upload) == (415, "unsupported_media", False), "read, although the disk has a quarter of the room"
    assert problem(post(cramped, b"fill")) == (507, "storage_full", True)
    assert files_below(cramped.work_dir) == []
    assert post(cramped, photo).status_code == 200
    assert health(cramped)["losses"] == 0


def test_a_removed_output_folder_is_made_again(faulty, photo):
    well(faulty)
    before = post(faulty, photo).headers["x-asset-id"]
    shutil.rmtree(faulty.output_dir)
    assert httpx.get(f"{faulty.url}/api/assets/{before}.glb").status_code == 404
    answer = post(faulty, photo)
    assert answer.status_code == 200
    assert httpx.get(f"{faulty.url}/api/assets/{answer.headers['x-asset-id']}.glb").content == answer.content


def test_a_removed_work_folder_is_made_again_by_the_next_job(faulty, photo):
    well(faulty)
    shutil.rmtree(faulty.work_dir)
    assert post(faulty, photo).status_code == 200
    shutil.rmtree(faulty.work_dir)
    upload = httpx.post(f"{faulty.url}/api/inference", files={"image": bytes(3_000_000)}, timeout=PATIENCE)
    assert upload.status_code == 415, "a large upload is read all the same"
    assert post(faulty, photo).status_code == 200


def test_nobody_sees_half_a_file(faulty):
    """Readers look at the folder, and ask for whatever they see, while results of 8 MB are written."""
    well(faulty)
    faulty.output_dir.mkdir(exist_ok=True)
    whole = b"glTF" + bytes(8_000_000)
    stop, seen, wrong = threading.Event(), set(), []

    def look():
        while not stop.is_set():
            for path in faulty.output_dir.glob("*.glb"):
                if path.name not in seen and path.stat().st_size > 1_000_000:
                    seen.add(path.name)
                    if path.read_bytes() != whole:
                        wrong.append(path.name)
                elif path.stat().st_size < 1000:
                    wrong.append(path.name)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        answer = post(faulty, b"large:8000000")
        assert answer.content == whole
        until(lambda answer=answer: f"{answer.headers['x-asset-id']}.glb" in seen)
    stop.set()
    reader.join()
    assert wrong == []


def test_two_services_on_one_folder_answer_each_others_links(faulty, start_faulty, photo):
    well(faulty)
    other = start_faulty(output_dir=faulty.output_dir)
    other.wait_until(200)
    threads = [asking(server, photo) for server in (faulty, other, faulty, other)]
    for thread in threads:
        thread.join()
    for thread in threads:
        asset = thread.answer.headers["x-asset-id"]
        for server in (faulty, other):
            assert httpx.get(f"{server.url}/api/assets/{asset}.glb").content == thread.answer.content
    assert httpx.delete(f"{other.url}/api/assets/{asset}.glb").status_code == 204
    assert httpx.get(f"{faulty.url}/api/assets/{asset}.glb").status_code == 404
    assert other.stop() == 0
    assert files_below(faulty.output_dir), "whoever goes leaves the results"
