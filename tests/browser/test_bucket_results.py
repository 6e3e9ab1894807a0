"""The studio of a service whose results lie in a bucket: the browser fetches the model from there."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.s3_server import S3Server
from tests.support.studio_results import make_result

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED = (200, 40, 40)


@pytest.fixture
def studio_beside(tmp_path, start_server, visit):
    """A factory: a bucket that lets pages of these origins fetch from it, and the studio of a service that uses it."""
    buckets = []

    def start(origins, **visiting):
        bucket = S3Server(tmp_path, origins)
        buckets.append(bucket)
        server = start_server(**bucket.settings())
        server.wait_until(200)
        return bucket, visit(server.url, store=bucket.endpoint, **visiting)

    yield start
    for bucket in buckets:
        bucket.stop()


def test_the_model_is_shown_where_the_bucket_lets_the_page_fetch(studio_beside, drawing):
    bucket, studio = studio_beside("*")
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    job = studio.make()
    studio.wait_for_model()
    assert any(url.startswith(f"{bucket.endpoint}/results/") for url in studio.requested)
    report = httpx.get(f"{studio.url}/api/jobs/{job}").json()["report"]
    with studio.page.expect_download() as download:
        studio.page.click("#download")
    there = bucket.store("some/folder").get(f"{report['id']}.glb").bytes()
    assert download.value.path().read_bytes() == bytes(there)
    assert download.value.suggested_filename == "photo.glb", "by the header of the bucket's object"


def test_without_its_leave_the_page_says_so_and_the_download_works(studio_beside, drawing):
    bucket, studio = studio_beside("http://elsewhere.example", failing=("CORS", "Failed to load resource"))
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    studio.make()
    problem = studio.page.locator("#model-problem")
    expect(problem).to_be_visible()
    expect(problem).to_contain_text("cannot be shown here")
    with studio.page.expect_download() as download:
        studio.page.click("#download")
    assert download.value.path().read_bytes()[:4] == b"glTF"
    assert len(bucket.names()) >= 1


@pytest.mark.parametrize(
    ("origins", "failing"), [("*", ()), ("http://elsewhere.example", ("CORS", "Failed to load resource"))]
)
def test_the_page_of_a_result_works_with_a_bucket_and_what_it_cannot_read_is_still_saved(
    studio_beside, drawing, origins, failing
):
    _, studio = studio_beside(origins, failing=failing)
    page = studio.page
    report = make_result(studio, drawing(((150, 150, 360, 360), RED)))
    page.goto(f"{studio.url}/m/{report['id']}")
    page.click("#download-menu summary")
    with page.expect_download() as download:
        page.click(".single [data-format=stl]")
    assert download.value.suggested_filename == "box.stl"
