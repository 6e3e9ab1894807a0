import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.options import Options
from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.routes import upload_form
from sam3d_bento.serving.routes.api import problem_responses

PNG = ("a.png", b"photo", "image/png")
BYTES = b"\x89PNG\r\n\x1a\n\0\xff"  # as every image file, with bytes that no text has


@pytest.fixture(scope="module")
def http():
    @problem_responses
    async def show(request):
        given = await upload_form.read(request, options=request.url.path == "/")
        submission = given.submission
        return JSONResponse(
            {
                "photo": submission.photo.decode("latin-1"),
                "mask": submission.mask and submission.mask.decode("latin-1"),
                "options": submission.options.model_dump(),
                "link": upload_form.wants_link(given, request.headers.get("accept", "")),
            }
        )

    routes = [Route("/", show, methods=["POST"]), Route("/mask", show, methods=["POST"])]
    return TestClient(AccessLog(Starlette(routes=routes)), raise_server_exceptions=True)


@pytest.mark.parametrize("field", ["image", "file"])
def test_a_form_with_either_name_of_the_photo(http, field):
    answer = http.post("/", files={field: PNG}, data={"seed": "5", "texture_size": "2048"})
    assert answer.json()["photo"] == "photo"
    assert answer.json()["options"] == {**Options().model_dump(), "seed": 5, "texture_size": 2048}


@pytest.mark.parametrize(("text", "compress"), [("true", True), ("on", True), ("1", True), ("false", False)])
def test_a_choice_of_the_file_s_form(http, text, compress):
    data = {"texture_format": "webp", "compress": text, "colour_source": "fused"}
    options = http.post("/", files={"image": PNG}, data=data).json()["options"]
    assert options == {**Options().model_dump(), **data, "compress": compress}


def test_a_form_with_a_mask(http):
    assert http.post("/", files={"image": PNG, "mask": ("m.png", b"mask")}).json()["mask"] == "mask"


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; x=y"])
def test_a_raw_body_with_options_in_the_query(http, media_type):
    answer = http.post("/?seed=3&response=link", content=b"photo", headers={"content-type": media_type})
    assert answer.json()["photo"] == "photo"
    assert answer.json()["options"]["seed"] == 3
    assert answer.json()["link"]


def test_a_form_left_blank_by_a_browser(http):
    answer = http.post("/", files={"image": PNG, "mask": ("", b"")}, data={"seed": "", "quality": "draft"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["mask"] is None
    assert answer.json()["options"]["seed"] is None


def test_texts_as_bentomls_client_writes_them(http):
    answer = http.post("/", files={"image": PNG}, data={"seed": "null", "quality": '"draft"', "response": '"link"'})
    assert answer.json()["options"]["seed"] is None
    assert answer.json()["options"]["quality"] == "draft"
    assert answer.json()["link"]


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
def test_what_has_a_filename_or_an_image_type_is_a_file_whatever_it_holds(http, content):
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


WRONG_NAMES = ["images", "photo", "files", "Image", "IMAGE", "image[]", "image[0]", "picture", "upload", "img", "masks"]


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


def test_options_of_a_form_may_stand_in_the_query(http):
    assert http.post("/?target_faces=2000", files={"image": PNG}).json()["options"]["target_faces"] == 2000


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"files": {"image": PNG}, "data": {"sed": "5"}}, "'sed'"),
        ({"files": {"image": PNG}, "data": {"seed": "-1"}}, "'seed'"),
        ({"files": {"image": PNG}, "data": {"seed": str(2**31)}}, "'seed'"),
        ({"files": {"image": PNG}, "data": {"seed": "five"}}, "'seed'"),
        ({"files": {"image": PNG}, "data": {"texture_size": "1000"}}, "'texture_size'"),
        ({"files": {"image": PNG}, "data": {"target_faces": "999"}}, "'target_faces'"),
        ({"files": {"image": PNG}, "data": {"quality": "best"}}, "'quality'"),
        ({"files": {"image": PNG}, "data": {"colour_source": "photo"}}, "'colour_source'"),
        ({"files": {"image": PNG}, "data": {"texture_format": "gif"}}, "'texture_format'"),
        ({"files": {"image": PNG}, "data": {"compress": "much"}}, "'compress'"),
        ({"files": {"image": PNG}, "data": {"response": "email"}}, "'response'"),
        ({"files": {"image": PNG}, "data": {"seed": ["1", "2"]}}, "'seed'"),
        ({"files": {"image": PNG}, "params": {"seed": "1"}, "data": {"seed": "2"}}, "'seed'"),
        ({"files": {"image": PNG}, "data": {"shape": "ball"}}, "'shape'"),
        ({"data": {"image": "http://127.0.0.1/x.png"}, "files": {"mask": PNG}}, "'image'"),
        ({"data": {"mask": "text"}, "files": {"image": PNG}}, "'mask'"),
        ({"files": {"image": PNG, "file": PNG}}, "'file'"),
        ({"files": {"mask": PNG}}, "'image'"),
        ({"files": {"image": PNG, "photo": PNG}}, "'photo'"),
        ({"files": [("image", PNG), ("image", PNG)]}, "'image'"),
        ({"files": {"image": ("a.png", b"")}}, "'image'"),
        ({"content": b"", "headers": {"content-type": "image/png"}}, "'image'"),
        ({"content": b"x", "headers": {"content-type": "image/png"}, "params": {"sed": "1"}}, "'sed'"),
        ({"files": {"image": PNG}, "data": {"a\r\nb" + "c" * 300: "5"}}, "a%0D%0Ab"),
    ],
)
def test_a_mistake_is_a_400_that_names_the_field(http, request_, names):
    answer = http.post("/", **request_)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "bad_request"
    assert names in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (b"--b\r\nno header at all\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n\xff\xfe\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
        (b"--b\r\n" * 50, "multipart/form-data; boundary=b; charset=nonsense"),
        (
            b'--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n' + b"1" * 9000,
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_a_malformed_form_is_a_400(http, content, media_type):
    answer = http.post("/", content=content, headers={"content-type": media_type})
    assert answer.status_code == 400, answer.text


def test_a_form_of_ten_thousand_fields_is_a_400(http):
    answer = http.post("/", files={"image": PNG}, data={f"f{n}": "1" for n in range(10_000)})
    assert answer.status_code == 400


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_other_media_types_are_a_415_that_says_what_to_send(http, media_type):
    answer = http.post("/", content=b"{}", headers={"content-type": media_type})
    assert answer.status_code == 415
    assert "'image'" in answer.json()["detail"]


def test_the_mask_route_takes_no_options(http):
    assert http.post("/mask", files={"image": PNG}).status_code == 200
    assert http.post("/mask", files={"image": PNG}, data={"seed": "1"}).status_code == 400


@pytest.mark.parametrize(
    ("accept", "link"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("application/json, */*", False),
        ("application/json, */*;q=0.5", True),
        ("application/json;q=0.5, model/gltf-binary", False),
        ("model/gltf-binary;q=0.5, application/json", True),
        ("application/*", True),
        ("text/html, application/xhtml+xml, */*;q=0.8", False),
        ("application/json;q=nonsense", False),
        ("APPLICATION/JSON", True),
    ],
)
def test_json_must_be_strictly_preferred(http, accept, link):
    assert http.post("/", files={"image": PNG}, headers={"accept": accept}).json()["link"] is link


def test_the_field_decides_over_the_header(http):
    answer = http.post("/", files={"image": PNG}, data={"response": "file"}, headers={"accept": "application/json"})
    assert answer.json()["link"] is False


def test_the_schema_describes_the_options_as_they_are_checked():
    described, checked = upload_form.InferenceInput.model_fields, Options.model_fields
    assert set(described) == {"image", "mask", "response", *checked}
    for name, field in checked.items():
        assert described[name].default == field.default
        assert described[name].annotation == field.annotation
        assert [m for m in described[name].metadata if "ontent" not in repr(m)] == field.metadata
