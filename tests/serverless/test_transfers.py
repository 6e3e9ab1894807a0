import asyncio
import gzip
import socket

import pytest

from sam3d_bento.errors import BadRequest, TooLarge, TransferFailed
from sam3d_bento.serverless.hosts import AllowedHosts
from sam3d_bento.serverless.transfers import Transfers
from tests.support.name_server import Zone

LIMIT = 10_000
SIGNED = "?X-Signature=s3cr3t%2Fdone+x"


def make(*names, **options):
    return Transfers(AllowedHosts(names or ["127.0.0.1"]), LIMIT, **options)


def download(address, transfers=None):
    transfers = transfers or make()
    return asyncio.run(transfers.download(transfers.check(address, "image_url"), "image_url"))


def upload(address, body=b"glTF"):
    transfers = make()
    url = transfers.check(address, "output_url")
    asyncio.run(transfers.upload(url, "output_url", body, "model/gltf-binary"))


def test_a_file_is_downloaded_from_the_address_as_it_was_sent(file_host):
    file_host.files["/a%2Fb.jpg"] = bytes(LIMIT)
    assert download(file_host.url("/a%2Fb.jpg" + SIGNED)) == bytes(LIMIT)
    (request,) = file_host.requests
    assert request[1] == "/a%2Fb.jpg" + SIGNED, "a signature covers every character"


def test_a_file_that_declares_to_be_too_large_is_not_read(file_host):
    file_host.files["/photo.jpg"] = bytes(LIMIT + 1)
    with pytest.raises(TooLarge, match=f"'image_url' is larger than {LIMIT} bytes"):
        download(file_host.url("/photo.jpg"))


def test_a_file_without_end_is_cut_off_at_the_limit(file_host):
    with pytest.raises(TooLarge, match=f"'image_url' is larger than {LIMIT} bytes"):
        download(file_host.url("/endless"))


def test_a_compressed_file_is_not_unfolded(file_host):
    bomb = gzip.compress(bytes(100 * LIMIT))
    file_host.files["/bomb"] = bomb
    assert download(file_host.url("/bomb")) == bomb
    assert file_host.requests[0][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("transfer", [download, upload])
def test_a_redirect_is_refused_wherever_it_leads(file_host, transfer):
    file_host.redirects_to = file_host.url("/photo.jpg")
    with pytest.raises(BadRequest, match=r"The host 127\.0\.0\.1 answered with a redirect"):
        transfer(file_host.url("/redirect"))
    assert len(file_host.requests) == 1, "not even to an allowed host"


@pytest.mark.parametrize("transfer", [download, upload])
@pytest.mark.parametrize(("status", "error"), [(403, BadRequest), (404, BadRequest), (500, TransferFailed)])
def test_a_refusal_is_told_with_its_status_but_without_the_address(file_host, transfer, status, error):
    with pytest.raises(error, match=f"answered {status}") as failure:
        transfer(file_host.url(f"/status/{status}{SIGNED}"))
    assert failure.value.retryable is (status >= 500)
    assert "s3cr3t" not in failure.value.detail


def test_a_host_that_says_nothing_is_given_up(file_host):
    with pytest.raises(TransferFailed, match=r"not done after 0\.2 seconds") as failure:
        download(file_host.url("/silent" + SIGNED), make(timeout_seconds=0.2))
    assert failure.value.__suppress_context__, "foreign messages hold addresses"


def test_a_host_that_is_not_there_is_a_failure_that_may_pass():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TransferFailed, match=r"connection to the host 127\.0\.0\.1 of 'image_url' failed") as failure:
        download(f"http://127.0.0.1:{port}/{SIGNED}")
    assert "s3cr3t" not in failure.value.detail
    assert failure.value.__suppress_context__


def test_an_allowed_name_that_leads_to_this_machine_is_refused(file_host):
    transfers = make("photos.example.com", resolver=Zone("127.0.0.1"))
    with pytest.raises(BadRequest, match="'image_url' has no public address"):
        download(f"https://photos.example.com:{file_host.server_port}/photo.jpg", transfers)
    assert file_host.requests == []


def test_the_result_is_put_with_its_type_and_length(file_host):
    upload(file_host.url("/results/cup.glb" + SIGNED), b"glTF" * 10)
    ((method, path, headers, body),) = file_host.requests
    assert (method, path, body) == ("PUT", "/results/cup.glb" + SIGNED, b"glTF" * 10)
    assert (headers["Content-Type"], headers["Content-Length"]) == ("model/gltf-binary", "40")
