import pytest

from sam3d_bento.options import Options
from tests.support import reading_app

PNG = ("a.png", b"photo", "image/png")


@pytest.fixture(scope="module")
def http():
    return reading_app.client()


@pytest.mark.parametrize("field", ["image", "file"])
def test_a_form_with_either_name_of_the_photo(http, field):
    answer = http.post("/", files={field: PNG}, data={"seed": "5", "texture_size": "2048"})
    assert answer.json()["photo"] == "photo"
    assert answer.json()["options"] == {**Options(name="a").model_dump(), "seed": 5, "texture_size": 2048}


@pytest.mark.parametrize(
    ("text", "compress"),
    [("true", True), ("on", True), ("1", True), ("false", False), ("quantize", "quantize"), ('"quantize"', "quantize")],
)
def test_a_choice_of_the_file_s_form(http, text, compress):
    data = {"texture_format": "webp", "compress": text, "colour_source": "fused"}
    options = http.post("/", files={"image": PNG}, data=data).json()["options"]
    assert options == {**Options(name="a").model_dump(), **data, "compress": compress}


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


def test_the_mask_route_takes_of_the_options_only_those_that_a_mask_depends_on(http):
    assert http.post("/mask", files={"image": PNG}).status_code == 200
    prompt = {"box": "0,0,9,9", "points": "1,1,1;2,2,0", "candidate": "1"}
    assert http.post("/mask", files={"image": PNG}, data=prompt).status_code == 200
    assert http.post("/mask", content=PNG[1], headers={"content-type": "image/png"}, params=prompt).status_code == 200
    refused = http.post("/mask", files={"image": PNG}, data={"seed": "1"})
    assert (refused.status_code, "image, file, mask, box" in refused.json()["detail"]) == (400, True)


@pytest.mark.parametrize("field", ["depth", "pointmap"])
def test_depth_belongs_to_a_run_and_not_to_a_mask(http, field):
    files = {"image": PNG, field: ("d.npy", b"\x93NUMPY", "application/octet-stream")}
    assert http.post("/", files=files).json()[field] == "\x93NUMPY"
    refused = http.post("/mask", files=files)
    assert (refused.status_code, f"'{field}'" in refused.json()["detail"]) == (400, True)


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


def test_a_scene_by_masks_labels_or_a_list(http):
    two = [("image", PNG), ("masks", ("a.png", b"one")), ("masks", ("b.png", b"two"))]
    assert http.post("/", files=two).json()["scene"] == {"masks": ["one", "two"], "labels": None, "objects": None}
    labels = {"image": PNG, "labels": ("l.png", b"values")}
    assert http.post("/", files=labels).json()["scene"] == {"masks": [], "labels": "values", "objects": None}
    as_text = http.post("/", files={"image": PNG}, data={"objects": '[{"mask": 0}]'}).json()["scene"]
    as_file = http.post("/", files={"image": PNG, "objects": ("o.json", b'[{"mask": 0}]', "application/json")})
    unnamed = http.post("/", files={"image": PNG, "objects": (None, b'[{"mask": 0}]', "application/json")})
    assert as_text == as_file.json()["scene"] == unnamed.json()["scene"]
    assert as_text == {"masks": [], "labels": None, "objects": '[{"mask": 0}]'}


def test_all_objects_of_a_raw_body(http):
    answer = http.post("/?objects=all", content=b"photo", headers={"content-type": "image/png"})
    assert answer.json()["scene"]["objects"] == "all"


def test_no_scene_where_its_fields_are_left_blank(http):
    answer = http.post("/", files={"image": PNG, "labels": ("", b"")}, data={"objects": "", "masks": ""})
    assert answer.status_code == 200, answer.text
    assert answer.json()["scene"] is None


@pytest.mark.parametrize(
    ("files", "data", "status", "message"),
    [
        ([("masks", ("a", b"m")), ("mask", ("b", b"m"))], {}, 400, "'mask' is that of a single object"),
        ([("masks", ("a", b"m"))], {"height": "1"}, 400, "'height' is that of a single object"),
        ([], {"frame": "ground"}, 400, "'frame' is that of a scene"),
        ([("labels", ("a", b"m")), ("labels", ("b", b"m"))], {}, 400, "'labels' was sent twice"),
        ([("objects", ("a", b"\x89PNG\r\n\x1a\n\0"))], {}, 400, "takes JSON, not a picture"),
        ([("objects", ("a", b" " * 2_000_001))], {}, 413, "at most 2,000,000 bytes"),
        ([], {"objects": "all", "masks": "https://example.com/a.png"}, 400, "Addresses are not fetched"),
        ([("masks", ("a", b"m"))] * 145, {}, 400, "parts"),
        ([("depths", ("a", b"m"))], {}, 400, "'depths'"),
    ],
)
def test_what_is_wrong_with_a_scene_is_said(http, files, data, status, message):
    answer = http.post("/", files=[("image", PNG), *files], data=data)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["detail"]


@pytest.mark.parametrize("field", ["masks", "labels", "objects"])
def test_a_mask_preview_takes_no_scene(http, field):
    answer = http.post("/api/mask", files={"image": PNG, field: ("a", b"all")})
    assert answer.status_code == 400
    assert f"'{field}'" in answer.json()["detail"]
