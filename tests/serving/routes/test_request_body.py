"""What is a file and what is a text in a request, and what the refusals of the others say."""

import gzip

import pytest

from tests.support import reading_app

PNG = ("a.png", b"photo", "image/png")
BYTES = b"\x89PNG\r\n\x1a\n\0\xff"  # as every image file, with bytes that no text has


@pytest.fixture(scope="module")
def http():
    return reading_app.client()


def one_part(name, content, *headers, filename=None):
    """Return a request with a form of one part, whose headers are as they are given."""
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    body = "\r\n".join(["--b", disposition, *headers, "", ""]).encode() + content + b"\r\n--b--\r\n"
    return {"content": body, "headers": {"content-type": "multipart/form-data; boundary=b"}}


@pytest.mark.parametrize("field", ["image", "file"])
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: image/png",),
        ("Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary", "Content-Length: 10"),
        ("Content-Type: text/plain",),
        ("Content-Type: text/plain; charset=utf-8",),
        ("Content-Type: application/json",),
        ("Content-Type: multipart/form-data",),  # as many answers for Retrofit have it
        ("Content-Type: nonsense",),
    ],
)
def test_bytes_without_a_filename_are_a_file(http, field, headers):
    answer = http.post("/", **one_part(field, BYTES, *headers))
    assert answer.json()["photo"].encode("latin-1") == BYTES


def test_bytes_without_a_filename_are_a_mask(http):
    answer = http.post("/", files={"image": PNG, "mask": (None, BYTES)})
    assert answer.json()["mask"].encode("latin-1") == BYTES


@pytest.mark.parametrize("content", [b"no text has a filename", b"https://example.com", b"GIF89a"])
def test_part_with_a_filename_or_an_image_type_is_a_file(http, content):
    for request in (
        one_part("image", content, filename="a"),
        one_part("image", content, "Content-Type: image/svg+xml"),
    ):
        assert http.post("/", **request).json()["photo"].encode() == content


@pytest.mark.parametrize("field", ["image", "file", "mask"])
@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("https://example.com/a.png", "not fetched"),
        ("s3://bucket/a.png", "not fetched"),
        ("data:image/png;base64,iVBORw0KGgo=", "decode it"),
        ("iVBORw0KGgo" * 1000, "decode it"),
        ("photo.png", "-F"),
        ("[object Object]", "-F"),
        ("undefined", "-F"),
    ],
)
def test_a_text_where_a_file_belongs_is_a_400_that_says_what_to_do(http, field, text, step):
    photo = {} if field == "image" else {"image": PNG}
    for request in (
        {"files": {**photo, field: (None, text)}},
        {"files": {**photo, field: (None, text, "text/plain; charset=utf-8")}},
        {"files": photo or {"other": (None, "x")}, "params": {field: text[:2000]}},
    ):
        answer = http.post("/", **request)
        assert answer.status_code == 400
        assert f"'{field}' takes a file, not a text." in answer.json()["detail"]
        assert step in answer.json()["detail"]


WRONG_NAMES = ["images", "photo", "files", "Image", "IMAGE", "image[]", "image[0]", "picture", "upload", "img", "mask_"]


@pytest.mark.parametrize("name", [*WRONG_NAMES, "file[]", "files[0]", "data", "image ", "immagine", "圖片", "x" * 500])
def test_a_file_in_a_field_of_another_name_is_a_400_that_names_image(http, name):
    for file in (("a.png", BYTES, "image/png"), (None, BYTES), ("a.png", b"x" * 9000), PNG):
        for request in ({"files": {name: file}}, {"files": {"image": PNG, name: file}}):
            answer = http.post("/", **request)
            assert answer.status_code == 400, answer.text
            assert "'image'" in answer.json()["detail"]
            assert name[:40] in answer.json()["detail"]


@pytest.mark.parametrize("file", [("seed", b"7"), ("blob", b"7", "application/json"), (None, b"7", "text/plain")])
def test_an_option_may_be_a_small_file(http, file):
    """requests writes so what stands in `files`, and fetch what is appended as a Blob."""
    assert http.post("/", files={"image": PNG, "seed": file}).json()["options"]["seed"] == 7


@pytest.mark.parametrize("content", [BYTES, b"7" * 5000])
def test_an_option_that_is_no_short_text_is_named(http, content):
    answer = http.post("/", files={"image": PNG, "seed": ("a", content)})
    assert answer.status_code == 400
    assert "'seed' takes a text of at most 4096 bytes" in answer.json()["detail"]


def test_the_field_charset_is_no_option_but_says_how_texts_are_written(http):
    answer = http.post("/", files=[("_charset_", (None, "utf-16-le")), ("image", PNG), ("seed", (None, b"7\0"))])
    assert answer.json()["options"]["seed"] == 7


def test_the_header_s_charset_is_that_of_the_texts_but_not_of_ascii_names(http):
    body = b'--b\r\nContent-Disposition: form-data; name="mask"\r\n\r\n' + BYTES
    body += b'\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + BYTES
    body += b'\r\n--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n7\0\r\n--b--'
    answer = http.post(
        "/", content=body, headers={"content-type": "multipart/form-data; charset=utf-16-le; boundary=b"}
    )
    assert answer.json()["options"]["seed"] == 7


def test_one_file_in_a_nested_multipart_is_that_file_and_two_are_a_400(http):
    """Forms of RFC 2388 had the files of one field as a multipart/mixed of their own; curl still can."""
    inner = b'--i\r\nContent-Disposition: file; filename="a.png"\r\n\r\n' + BYTES + b"\r\n"
    for count, status in ((0, 400), (1, 200), (2, 400)):
        request = one_part("image", inner * count + b"--i--\r\n", "Content-Type: multipart/mixed; boundary=i")
        answer = http.post("/", **request)
        assert answer.status_code == status, answer.text
        assert f"holds {count} parts" in answer.text or answer.json()["photo"].encode("latin-1") == BYTES


def test_a_file_with_a_filename_is_never_taken_apart(http):
    request = one_part("image", b"--i--\r\n", "Content-Type: multipart/mixed; boundary=i", filename="a")
    assert http.post("/", **request).json()["photo"] == "--i--\r\n"


@pytest.mark.parametrize("subtype", ["mixed", "related", "alternative"])
def test_another_multipart_type_is_a_form_when_its_parts_have_names(http, subtype):
    request = one_part("image", BYTES)
    request["headers"] = {"content-type": f"multipart/{subtype}; boundary=b"}
    assert http.post("/", **request).json()["photo"].encode("latin-1") == BYTES
    request["content"] = request["content"].replace(b'; name="image"', b"")
    answer = http.post("/", **request)
    assert answer.status_code == 415
    assert "multipart/form-data in the field 'image'" in answer.json()["detail"]


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "*/*",
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "binary/octet-stream",
    ],
)
def test_a_raw_body_of_bytes_needs_no_type(http, media_type):
    headers = {} if media_type is None else {"content-type": media_type}
    answer = http.post("/?seed=3", content=BYTES, headers=headers)
    assert answer.json()["photo"].encode("latin-1") == BYTES
    assert answer.json()["options"]["seed"] == 3


@pytest.mark.parametrize(
    ("media_type", "content", "named"),
    [
        ("application/json", b'{"image": "iVBORw0KGgo="}', "JSON"),
        ("application/vnd.api+json; charset=utf-8", b"{}", "JSON"),
        ("application/x-www-form-urlencoded", b"image=iVBORw0KGgo%3D&seed=7", "application/x-www-form-urlencoded"),
        ("", b"iVBORw0KGgo=", "has no type"),
        ("", b"", "has no type"),
        ("text/plain", b"https://example.com/a.png", "text/plain"),
        ("application/pdf", BYTES, "application/pdf"),
        ("video/mp4", BYTES, "video/mp4"),
    ],
)
def test_a_body_that_is_no_photo_is_a_415_that_names_it_and_the_next_step(http, media_type, content, named):
    answer = http.post("/", content=content, headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    assert named in answer.json()["detail"]
    assert "multipart/form-data in the field 'image'" in answer.json()["detail"]


def test_a_form_may_be_compressed_as_a_whole(http):
    request = one_part("image", BYTES)
    request["content"] = gzip.compress(request["content"])
    request["headers"]["content-encoding"] = "gzip"
    assert http.post("/", **request).json()["photo"].encode("latin-1") == BYTES
