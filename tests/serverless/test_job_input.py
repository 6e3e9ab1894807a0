import asyncio
import base64
from urllib.parse import quote

import pytest
from yarl import URL

from sam3d_bento.errors import BadRequest, TooLarge
from sam3d_bento.options import Options
from sam3d_bento.prompt import Point, Prompt
from sam3d_bento.serverless import job_input
from sam3d_bento.serverless.hosts import AllowedHosts
from sam3d_bento.serverless.transfers import Transfers

LIMIT = 1000
PHOTO = base64.b64encode(b"photo").decode()
URL_THERE = "https://photos.example.com/a.jpg?X-Signature=s3cr3t"


def transfers(*names):
    return Transfers(AllowedHosts(names), LIMIT)


def read(**fields):
    return job_input.read(fields, transfers("photos.example.com"), LIMIT)


@pytest.mark.parametrize("text", [PHOTO, f"data:image/png;base64,{PHOTO}", f"data:;base64,{PHOTO}"])
def test_a_photo_comes_as_base64_plain_or_in_a_data_url(text):
    assert read(image=text, mask=text) == job_input.JobInput(b"photo", b"photo", None, Options())


@pytest.mark.parametrize("field", ["depth", "pointmap"])
def test_the_depth_comes_as_the_photo_does(field):
    given = read(image=PHOTO, intrinsics="500,500,160,120", **{field: PHOTO})
    assert getattr(asyncio.run(job_input.fetch(given, transfers())), field) == b"photo"
    assert getattr(read(image=PHOTO, **{f"{field}_url": URL_THERE}), field) == URL(URL_THERE, encoded=True)


def test_options_are_those_of_the_http_service():
    given = read(image=PHOTO, seed=7, texture_size=2048, target_faces=5000, quality="draft")
    assert given.options == Options(seed=7, texture_size=2048, target_faces=5000, quality="draft")


def test_an_absent_value_may_be_null():
    assert read(image=PHOTO, mask=None, seed=None, output_url=None) == read(image=PHOTO)


def test_files_may_lie_at_allowed_addresses():
    given = read(image_url=URL_THERE, mask_url=URL_THERE, output_url=URL_THERE)
    assert (given.photo, given.mask, given.output) == (URL(URL_THERE, encoded=True),) * 3


@pytest.mark.parametrize("field", ["image_url", "mask_url", "output_url"])
def test_an_address_elsewhere_is_refused_by_its_field(field):
    with pytest.raises(BadRequest, match=f"'{field}'") as refusal:
        read(**({} if field == "image_url" else {"image": PHOTO}), **{field: "https://elsewhere.example/?s3cr3t"})
    assert "s3cr3t" not in refusal.value.detail


def test_a_prompt_is_an_option_as_over_http():
    prompt = read(image=PHOTO, points="3,4;5,6,0", box="0,0,9,9", candidate=1).options.prompt
    assert prompt == Prompt((Point(3, 4), Point(5, 6, inside=False)), (0, 0, 9, 9), 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "The photo is missing"),
        ({"image": None}, "The photo is missing"),
        ({"image": PHOTO, "image_url": URL_THERE}, "'image' and 'image_url' have the same meaning"),
        ({"image": PHOTO, "mask": PHOTO, "mask_url": URL_THERE}, "'mask' and 'mask_url' have the same meaning"),
        ({"image": PHOTO, "texture": 512}, "no field 'texture'"),
        ({"image": PHOTO, "response": "link"}, "no field 'response'"),
        ({"image": PHOTO, "x\n" * 30: 1}, r"no field '(x\?){20}…'"),
        ({"image": 5}, "'image' must be a string"),
        ({"image": ""}, "'image' must be a string"),
        ({"image": PHOTO, "mask": ["x"]}, "'mask' must be a string"),
        ({"image_url": {"url": URL_THERE}}, "'image_url' must be a string"),
        ({"image": "%%%"}, "'image' is not valid base64"),
        ({"image": PHOTO[:5]}, "'image' is not valid base64"),
        ({"image": PHOTO[:4] + "=" + PHOTO[4:]}, "'image' is not valid base64"),
        ({"image": " \r\n"}, "'image' is empty"),
        ({"image": "====", "mask": PHOTO}, "'image' is empty"),
        ({"image": URL_THERE}, "'image' needs base64. Send an address in 'image_url'"),
        ({"image": PHOTO, "mask": "HTTPS://x"}, "'mask' needs base64. Send an address in 'mask_url'"),
        ({"image": "é" * 4}, "'image' is not valid base64"),
        ({"image": PHOTO, "mask": "????"}, "'mask' is not valid base64"),
        ({"image": "data:image/png,abc"}, "data URL in the field 'image' is not base64"),
        ({"image": "data:image/png;base64"}, "data URL in the field 'image' is not base64"),
        ({"image": "data:image/png;base64,"}, "'image' is empty"),
        ({"image": PHOTO, "seed": -1}, "'seed'"),
        ({"image": PHOTO, "seed": "7"}, "'seed'"),
        ({"image": PHOTO, "texture_size": 1000}, "'texture_size'"),
        ({"image": PHOTO, "target_faces": 40000.5}, "'target_faces'"),
        ({"image": PHOTO, "quality": "best"}, "'quality'"),
        ({"image": PHOTO, "points": [[1, 2, 1]]}, "'points'"),
        ({"image": PHOTO, "points": "1,nan"}, "'points': send x,y,1"),
        ({"image": PHOTO, "box": "0,0,5"}, "'box': send x0,y0,x1,y1"),
    ],
)
def test_a_wrong_field_is_named(fields, said):
    with pytest.raises(BadRequest, match=said):
        read(**fields)


@pytest.mark.parametrize("given", [None, "photo", [PHOTO], 5])
def test_an_input_that_is_no_object_is_refused(given):
    with pytest.raises(BadRequest, match="'input' must be an object"):
        job_input.read(given, transfers(), LIMIT)


CONTENTS = [b"photo", b"\xfb\xff\xbe" * 40, b"\xfb\xff", b"\xff", bytes(range(256)) * 3, bytes(LIMIT), bytes(LIMIT - 1)]


def in_lines(text, end, width=76):
    return end.join(text[n : n + width] for n in range(0, len(text), width)) + end


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize(
    "prefix", ["", "data:image/png;base64,", "DATA:image/png;charset=utf-8;BASE64,", " \ndata:;base64,"]
)
def test_base64_is_read_in_every_common_form(content, encode, prefix):
    text = encode(content).decode()
    for written in (
        text,
        text.rstrip("="),
        in_lines(text, "\n"),
        in_lines(text, "\r\n", 64),
        in_lines(text.rstrip("="), "\n"),
        in_lines(text, "\n    ", 60),
        in_lines(text, "\t", 1),
        f"  {text}\n",
    ):
        assert read(image=prefix + written).photo == content
    if prefix.startswith("data:"):
        assert read(image=prefix + quote(in_lines(text, "\r\n"), safe="")).photo == content


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_is_limited_to_the_byte_however_it_is_written(prefix, end):
    def written(count):
        return prefix + in_lines(base64.b64encode(bytes(count)).decode(), end or "")

    assert len(read(image=written(LIMIT)).photo) == LIMIT
    for more in (1, 2, 3):
        with pytest.raises(TooLarge, match=f"'image' is larger than {LIMIT} bytes"):
            read(image=written(LIMIT + more))


def test_a_text_that_is_too_long_is_refused_before_it_is_decoded():
    with pytest.raises(TooLarge):
        read(image="%" * 2 * LIMIT)


def test_fetching_gets_what_is_not_there_yet(file_host):
    file_host.files |= {"/photo": b"photo", "/mask": b"mask"}
    here = transfers("127.0.0.1")
    for fields, submitted in (
        ({"image_url": file_host.url("/photo")}, (b"photo", None)),
        ({"image": PHOTO, "mask_url": file_host.url("/mask")}, (b"photo", b"mask")),
        ({"image": PHOTO}, (b"photo", None)),
    ):
        submission = asyncio.run(job_input.fetch(job_input.read({**fields, "seed": 3}, here, LIMIT), here))
        assert (submission.photo, submission.mask, submission.options.seed) == (*submitted, 3)


def test_the_objects_of_a_scene_come_as_files_addresses_and_a_list():
    given = read(image=PHOTO, masks=[PHOTO, PHOTO], objects=[{"mask": 0}, {"mask": 1}])
    scene = asyncio.run(job_input.fetch(given, transfers())).scene
    assert scene.masks == (b"photo", b"photo")
    assert scene.objects == '[{"mask": 0}, {"mask": 1}]'
    assert read(image=PHOTO, masks_url=[URL_THERE]).masks == (URL(URL_THERE, encoded=True),)
    assert asyncio.run(job_input.fetch(read(image=PHOTO, labels=PHOTO), transfers())).scene.labels == b"photo"
    assert read(image=PHOTO, objects="all").objects == "all"
    assert asyncio.run(job_input.fetch(read(image=PHOTO), transfers())).scene is None


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"masks": PHOTO}, BadRequest, "'masks' must be a list"),
        ({"masks": [PHOTO] * 101}, BadRequest, "'masks' must be a list"),
        ({"masks": [PHOTO, 5]}, BadRequest, "'masks[1]'"),
        ({"masks": [PHOTO], "masks_url": [URL_THERE]}, BadRequest, "Send only one of them"),
        ({"masks_url": ["https://elsewhere.example/a.png"]}, BadRequest, "'masks[0]_url'"),
        ({"masks": [base64.b64encode(b"x" * 600).decode()] * 2}, TooLarge, "together larger"),
        ({"objects": {"mask": 0}}, BadRequest, "'objects' must be a list"),
        ({"objects": "x" * 2_000_001}, TooLarge, "'objects' takes at most"),
        ({"masks": [PHOTO], "mask": PHOTO}, BadRequest, "'mask' is that of a single object"),
        ({"masks": [PHOTO], "height": 1.0}, BadRequest, "'height' is that of a single object"),
        ({"frame": "ground"}, BadRequest, "'frame' is that of a scene"),
    ],
)
def test_what_is_wrong_with_a_scene_is_said(fields, error, said):
    with pytest.raises(error) as refused:
        read(image=PHOTO, **fields)
    assert said in refused.value.detail
