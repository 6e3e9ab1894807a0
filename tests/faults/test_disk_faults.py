"""Full disks, folders that go away, and two processes on one folder."""

import dataclasses
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support import odd_files
from tests.support.asking import asking, files_below, health, post, problem, well
from tests.support.hanging_disk import HangingDisk
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.server, pytest.mark.faults]


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


def test_planted_files_are_not_served_and_hold_nothing_up(faulty, photo):
    """60 requests for files of each kind that is none: more than there are threads for anything."""
    well(faulty)
    for make in odd_files.KINDS:
        asset = post(faulty, photo).headers["x-asset-id"]
        path = faulty.output_dir / f"{asset}.glb"
        path.unlink()
        make(path)
        with ThreadPoolExecutor(60) as clients, faulty.client() as http:
            answers = list(
                clients.map(lambda _, asset=asset, http=http: http.get(f"/api/assets/{asset}.glb"), range(60))
            )
        assert {answer.status_code for answer in answers} == {404}, make
        assert seconds_to_livez_and_health(faulty) < 5
        shutil.rmtree(path) if make is odd_files.folder else path.unlink()
    (faulty.output_dir / "target-of-link").unlink()


def seconds_to_livez_and_health(server):
    start = time.monotonic()
    for path in ("/livez", "/health"):
        assert httpx.get(f"{server.url}{path}", timeout=PATIENCE).status_code == 200
    return time.monotonic() - start


def test_a_store_that_hangs_stops_neither_health_nor_livez_and_is_a_retryable_problem(start_faulty, photo):
    server = start_faulty()
    server.wait_until(200)
    answer = post(server, photo)
    link = f"/api/assets/{answer.headers['x-asset-id']}.glb"
    hanging = HangingDisk(server.output_dir)
    try:
        with server.client() as http, ThreadPoolExecutor(60) as clients:
            waiting = [clients.submit(http.get, link) for _ in range(50)]
            waiting += [clients.submit(http.get, "/metrics") for _ in range(5)]
            while not all(future.done() for future in waiting):
                assert seconds_to_livez_and_health(server) < 5
            answers = [future.result() for future in waiting]
        assert {problem(answer) for answer in answers[:50]} == {(503, "storage_unavailable", True)}
        assert {answer.status_code for answer in answers[50:]} == {200}
        assert "sam3d_assets " not in answers[-1].text, "what is not known is absent"
        assert problem(post(server, photo)) == (503, "storage_unavailable", True)
    finally:
        hanging.end()
    assert httpx.get(f"{server.url}{link}", timeout=PATIENCE).content == answer.content, "well again"
    hanging = HangingDisk(server.output_dir)
    try:
        assert problem(httpx.get(f"{server.url}{link}", timeout=PATIENCE)) == (503, "storage_unavailable", True)
        assert server.stop() == 0, "a call that hangs does not hold up the end"
    finally:
        hanging.end()
