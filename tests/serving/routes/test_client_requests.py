"""What HTTP libraries write by default is taken as the file that it is, to the byte."""

import re

import pytest

from sam3d_bento.options import Options
from tests.support import client_requests, reading_app


@pytest.fixture(scope="module")
def http():
    client = reading_app.client()
    client.headers = {}  # those of the request, and no others
    return client


@pytest.mark.parametrize("name", client_requests.NAMES)
def test_a_library_s_request_gives_its_photo(http, name):
    request = client_requests.parsed(name)
    answer = http.post(request.path, content=request.body, headers=request.headers)
    assert answer.status_code == 200, answer.text
    read = answer.json()
    assert read["photo"].encode("latin-1") == client_requests.PHOTO.read_bytes()
    assert read["mask"] is None
    seed = 7 if name.endswith("-seed") else None
    assert read["options"] == {**Options().model_dump(), "seed": seed, "name": photo_name(name, request.body)}


# What a photo is called where its library writes something else than `photo.png`, or nothing that says a name.
NAMES = {
    "dotnet-add-unicode-filename": "фото",
    "java-apache-browser-compatible": None,  # ????.png
    "java-apache-rfc6532": "фото",
    "rust-reqwest-file-name": "фото",
    "python-aiohttp-filename-unicode": "фото €",
    "python-email-mime-lf": "a-file-name-that-is-long-enough-to-make-the-generator-fold-this-",
    "swift-urlsession-by-hand": "image",
    "unity-wwwform": "image",
}


def photo_name(request_name, body):
    """The name of the photo in a recorded request, by what the photo's own part says."""
    return NAMES.get(request_name, "photo" if re.search(rb"filename=\"?(/C:/Users/me/)?photo\.png", body) else None)


def test_each_request_has_its_source_named():
    listed = re.findall(r"^\| `(\S+)\.http` \| .+ \|$", (client_requests.FOLDER / "README.md").read_text(), re.M)
    assert sorted(listed) == client_requests.NAMES
