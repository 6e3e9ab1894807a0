"""Over a real S3 server on loopback (s3_server.py)."""

import asyncio
import logging
import re
import socket
import time

import httpx
import pytest

from sam3d_bento.errors import NoRoomToKeep, NotFound, StorageUnavailable
from sam3d_bento.serving.assets import bucket as buckets
from sam3d_bento.serving.assets import download_name
from sam3d_bento.serving.assets.bucket import Bucket
from tests.support import finished
from tests.support.s3_server import SECRET

pytestmark = pytest.mark.anyio

HOUR = 3600
NOTHING = 1e-6  # a time to live that is over at once


@pytest.fixture
def open_bucket(s3):
    """A factory of buckets over the one server: each as another service process would have it."""

    def open_(ttl_seconds=HOUR, **changes):
        given = {"endpoint": s3.endpoint, "region": "us-east-1", "credentials_file": s3.credentials_file, **changes}
        return Bucket(given.pop("url", s3.url), ttl_seconds, **given)

    return open_


@pytest.fixture
def log_fields(caplog):
    """The fields of what the bucket logged until now."""
    logger = logging.getLogger("sam3d_bento.bucket")
    logger.addHandler(caplog.handler)  # a service of another test may have turned propagation off
    yield lambda: [record.fields for record in caplog.records]
    logger.removeHandler(caplog.handler)


@pytest.fixture
def silent():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_asset_of_one_process_is_linked_by_another(open_bucket):
    asset_id = await open_bucket().put(b"a model")
    assert re.fullmatch(r"[0-9a-f]{32}", asset_id)
    stored = await open_bucket().get(asset_id)
    answer = httpx.get(stored.links["GET"])
    assert (answer.status_code, answer.content) == (200, b"a model")
    assert answer.headers["content-type"] == "model/gltf-binary"
    assert answer.headers["content-disposition"] == 'attachment; filename="object.glb"'


async def test_every_file_behind_a_link_is_called_like_its_result(open_bucket, tmp_path):
    bucket = open_bucket()
    (tmp_path / "scan.npz").write_bytes(b"a scan")
    glb = finished.glb(options=finished.OPTIONS.model_copy(update={"name": "стул"}))
    asset_id = await bucket.put(glb, tmp_path / "scan.npz")
    await open_bucket().add(asset_id, "usdz", b"a package")
    assert await bucket.name(asset_id) == "стул"
    for kind, shown in (("glb", "attachment"), ("npz", "attachment"), ("usdz", "inline")):
        for method in ("GET", "HEAD"):
            answer = httpx.request(method, (await bucket.get(asset_id, kind)).links[method])
            assert answer.headers["content-disposition"] == download_name.content_disposition(shown, "стул", kind)
    with pytest.raises(NotFound):
        await bucket.name("0" * 32)


async def test_a_link_gives_ranges_validation_and_head(open_bucket):
    bucket = open_bucket()
    links = (await bucket.get(await bucket.put(b"0123456789"))).links
    part = httpx.get(links["GET"], headers={"range": "bytes=4-6"})
    assert (part.status_code, part.content) == (206, b"456")
    head = httpx.head(links["HEAD"])
    assert (head.status_code, head.headers["content-length"]) == (200, "10")
    assert httpx.get(links["GET"], headers={"if-none-match": head.headers["etag"]}).status_code == 304


async def test_a_link_is_for_one_object_and_one_method(open_bucket):
    bucket = open_bucket()
    first, second = await bucket.put(b"one"), await bucket.put(b"two")
    link = (await bucket.get(first)).links["GET"]
    assert httpx.get(link.replace(first, second)).status_code == 403
    assert httpx.delete(link).status_code == 403
    assert httpx.get(link.partition("?")[0]).status_code == 403, "nothing is public"


async def test_a_link_does_not_outlive_the_asset(open_bucket):
    asset_id = await open_bucket().put(b"x")
    for ttl, expected in ((HOUR, range(300, 301)), (60, range(50, 61))):
        link = (await open_bucket(ttl_seconds=ttl).get(asset_id)).links["GET"]
        assert int(httpx.URL(link).params["X-Amz-Expires"]) in expected


@pytest.mark.parametrize("asset_id", ["", "x", "../secret", "0" * 31, "0" * 32, "0" * 31 + "G", "0" * 32 + "\n"])
async def test_an_unknown_id_is_not_found(open_bucket, asset_id):
    with pytest.raises(NotFound):
        await open_bucket().get(asset_id)
    with pytest.raises(NotFound):
        await open_bucket().delete(asset_id)


async def test_an_expired_asset_is_not_found_even_before_the_sweep_comes(open_bucket, s3):
    asset_id = await open_bucket().put(b"x")
    late = open_bucket(ttl_seconds=NOTHING)
    with pytest.raises(NotFound):
        await late.get(asset_id)
    with pytest.raises(NotFound):
        await late.delete(asset_id)
    assert f"{asset_id}.glb" in s3.names()


async def test_a_deleted_asset_is_gone_for_every_process(open_bucket, s3):
    asset_id = await open_bucket().put(b"x")
    await open_bucket().delete(asset_id)
    with pytest.raises(NotFound):
        await open_bucket().get(asset_id)
    assert f"{asset_id}.glb" not in s3.names()


async def test_the_sweep_removes_what_is_ours_and_old_and_nothing_else(open_bucket, s3, monkeypatch):
    monkeypatch.setattr(buckets, "PAGE", 2)  # more than one page
    url, folder = "s3://results/swept", "swept"
    ours = [await open_bucket(url=url).put(b"x") for _ in range(5)]
    strangers = ["notes.txt", "model.glb", f"{'a' * 32}.GLB", f"{'a' * 32}.glb.bak", f"below/{'b' * 32}.glb"]
    for name in [*strangers, f"{'c' * 32}.probe"]:
        s3.store(folder).put(name, b"x")
    s3.store().put(f"{'d' * 32}.glb", b"outside of the folder")
    assert open_bucket(url=url).sweep() == 0
    for foreign in ("b" * 32, "d" * 32):
        with pytest.raises(NotFound):
            await open_bucket(url=url).get(foreign)
    assert open_bucket(url=url, ttl_seconds=NOTHING).sweep() == len(ours) + 1
    assert s3.names(folder) == set(strangers)
    assert f"{'d' * 32}.glb" in s3.names("")


def test_a_claim_leaves_nothing_behind(open_bucket, s3):
    open_bucket(url="s3://results/claimed").claim()
    assert s3.names("claimed") == set()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[default]\naws_access_key_id = test-key-id\naws_secret_access_key = another\n", "refuses the service"),
        (f"{SECRET}\n", "refuses the service"),
        (None, "refuses the service"),
    ],
    ids=["wrong keys", "no keys in the file", "no file"],
)
async def test_keys_that_do_not_fit_are_told_without_quoting_them(open_bucket, tmp_path, log_fields, content, sentence):
    file = tmp_path / "credentials"
    if content is not None:
        file.write_text(content)
    bucket = open_bucket(credentials_file=file)
    with pytest.raises(StorageUnavailable, match=sentence):
        bucket.claim()
    with pytest.raises(StorageUnavailable, match=sentence):
        await bucket.put(b"x")
    with pytest.raises(StorageUnavailable):
        bucket.sweep()
    assert {fields["action"] for fields in log_fields()} == {"claim", "put", "sweep"}
    assert SECRET not in str(log_fields())


async def test_a_store_that_is_not_there_is_a_retryable_problem(open_bucket):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    bucket = open_bucket(endpoint=nobody)
    for call in (bucket.put(b"x"), bucket.get("0" * 32), bucket.delete("0" * 32)):
        with pytest.raises(StorageUnavailable) as problem:
            await call
        assert (problem.value.retryable, problem.value.retry_after_seconds) == (True, 5)
        assert nobody not in problem.value.detail


async def test_a_store_that_hangs_holds_up_neither_the_caller_nor_the_event_loop(open_bucket, silent, monkeypatch):
    monkeypatch.setattr(buckets, "PATIENCE_SECONDS", 0.5)
    bucket = open_bucket(endpoint=silent)
    started = time.monotonic()
    asked = [asyncio.ensure_future(call) for call in (bucket.put(b"x"), bucket.get("0" * 32), bucket.delete("0" * 32))]
    longest = 0.0
    while not all(task.done() for task in asked):
        before = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - before)
    assert time.monotonic() - started < 5
    assert longest < 2, "the client's own limit is much later"
    assert all(isinstance(task.exception(), StorageUnavailable) for task in asked)


def test_the_limits_of_one_request_stay_below_the_patience():
    assert (buckets.CLIENT["timeout"] + buckets.RETRY["retry_timeout"]).total_seconds() < buckets.PATIENCE_SECONDS


async def test_without_http_in_the_endpoint_nothing_is_sent_unencrypted(open_bucket, s3):
    with pytest.raises(StorageUnavailable):
        await open_bucket(endpoint=s3.endpoint.replace("http://", "https://")).put(b"x")


async def test_once_claimed_it_tells_where_its_links_lead(open_bucket):
    bucket = open_bucket()
    bucket.claim()
    stored = await bucket.get(await bucket.put(b"a model"))
    assert stored.links["GET"].startswith(f"{bucket.origin}/")
    assert bucket.origin.count("/") == 2


async def test_a_reconstruction_and_a_picture_live_beside_their_glb(open_bucket, s3, tmp_path):
    bucket = open_bucket()
    (tmp_path / "scan").write_bytes(bytes(6_000_000))
    asset_id = await bucket.put(b"glb", tmp_path / "scan")
    await bucket.add(asset_id, "webp", b"picture")
    picture = httpx.get((await bucket.get(asset_id, "webp")).links["GET"])
    assert (picture.content, picture.headers["content-type"]) == (b"picture", "image/webp")
    assert picture.headers["content-disposition"].startswith("inline")
    async with bucket.local(asset_id, "glb", "npz") as files:
        assert {kind: path.stat().st_size for kind, path in files.items()} == {"glb": 3, "npz": 6_000_000}
    assert not any(path.exists() for path in files.values()), "copies go when they were used"
    await bucket.delete(asset_id)
    assert not {name for name in s3.names() if asset_id in name}
    with pytest.raises(NotFound):
        await bucket.add(asset_id, "webp", b"late")


async def test_a_file_that_was_not_kept_is_not_found(open_bucket):
    bucket = open_bucket()
    asset_id = await bucket.put(b"glb")
    with pytest.raises(NotFound):
        await bucket.get(asset_id, "npz")
    async with bucket.local(asset_id, "glb", "npz") as files:
        assert set(files) == {"glb"}


async def test_a_kept_result_outlives_its_time_until_it_is_released(open_bucket, s3):
    bucket = open_bucket(url=f"{s3.url}/kept", keep_max_bytes=100)
    kept, passing = await bucket.put(finished.glb()[:40]), await bucket.put(b"passing")
    await bucket.keep(kept)
    await bucket.keep(kept)  # changes nothing
    over = open_bucket(NOTHING, url=f"{s3.url}/kept")
    assert over.sweep() == 1
    assert httpx.get((await over.get(kept)).links["GET"]).status_code == 200
    found = await over.look_up(kept)
    assert (found.expires_in_seconds, found.sizes) == (None, {"glb": 40, "kept": 0})
    with pytest.raises(NotFound):
        await over.get(passing)
    await over.release(kept)
    with pytest.raises(NotFound):
        await over.get(kept)
    assert over.sweep() == 1


async def test_kept_results_in_a_bucket_have_a_quota(open_bucket, s3):
    bucket = open_bucket(url=f"{s3.url}/quota", keep_max_bytes=10)
    first, second = await bucket.put(b"123456"), await bucket.put(b"123456")
    await bucket.keep(first)
    with pytest.raises(NoRoomToKeep):
        await bucket.keep(second)
    await bucket.delete(first)
    await bucket.keep(second)
    assert (await bucket.look_up(second)).expires_in_seconds is None
    with pytest.raises(NotFound, match="keeps no results"):
        await open_bucket(url=f"{s3.url}/quota").keep(second)


async def test_what_is_left_of_a_kept_result_without_its_model_is_swept(open_bucket, s3):
    bucket = open_bucket(NOTHING, url=f"{s3.url}/broken", keep_max_bytes=100)
    asset_id = await open_bucket(url=f"{s3.url}/broken").put(b"x")
    await open_bucket(url=f"{s3.url}/broken", keep_max_bytes=100).keep(asset_id)
    bucket._store.delete(f"{asset_id}.glb")
    assert bucket.sweep() == 1
