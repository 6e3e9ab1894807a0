"""What BentoML is told of the API methods, and the form that its typed clients are called with."""

import asyncio
import io
import subprocess
import sys

import pytest
from PIL import Image

from sam3d_bento.options import Options
from sam3d_bento.serving.routes.api_methods import InferenceInput, JobInput, MaskInput
from tests.support import reading_app


@pytest.fixture(scope="module")
def http():
    with reading_app.client() as client:
        yield client


@pytest.fixture
def photo(tmp_path):
    """A photo that lies on its side: its Exif data says that the left edge is the top."""
    path = tmp_path / "cup.jpg"
    image = Image.new("RGB", (40, 20), (220, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    return path


KINDS = {
    "path": lambda path: path,
    "text": str,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "file in memory": lambda path: io.BytesIO(path.read_bytes()),
    "pipe": lambda path: subprocess.Popen(["cat", path], stdout=subprocess.PIPE).stdout,
}


FILES = ("image", "mask", "depth", "pointmap", "masks", "labels", "objects")


def test_the_schema_describes_the_options_as_they_are_checked():
    described, checked = InferenceInput.model_fields, Options.model_fields
    assert set(described) == {*FILES, "response", *checked}
    assert set(JobInput.model_fields) == {*FILES, *checked}
    for name, field in checked.items():
        assert described[name].default == field.default
        assert described[name].annotation == field.annotation
        assert [m for m in described[name].metadata if "ontent" not in repr(m)] == field.metadata


def sent(http, form):
    """What our own reader finds in the form that BentoML would send."""
    return http.post("/", content=form.model_dump(), headers={"content-type": form.mime_type()}).json()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_comes_as_a_program_has_it(http, photo, kind):
    given = KINDS[kind](photo)
    form = InferenceInput.from_inputs(image=given, mask=photo, seed=7, compress=True, shape="box", quality=None)
    found = sent(http, form)
    assert found["photo"].encode("latin-1") == found["mask"].encode("latin-1") == photo.read_bytes()
    name = "cup" if kind in ("path", "text", "open file") else None  # what has a file's name gives its name
    assert found["options"] == {**Options(name=name).model_dump(), "seed": 7, "compress": True, "shape": "box"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "YCbCr", "F", "HSV"])
def test_an_image_of_pillow_keeps_its_pixels_and_which_side_is_up(http, photo, mode):
    image = Image.open(photo)
    form = MaskInput.from_inputs(image.convert(mode) if mode != "RGB" else image)
    received = Image.open(io.BytesIO(sent(http, form)["photo"].encode("latin-1")))
    assert received.size == (40, 20)
    assert received.getexif()[0x0112] == 6


def test_what_is_absent_is_not_sent(photo):
    content = JobInput.from_inputs(photo, None, seed=None).model_dump()
    assert b"seed" not in content
    assert b"mask" not in content


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "'image' is missing"),
        ({"image": None}, "'image' is missing"),
        ({"image": b"x", "sede": 7}, "no argument 'sede'. The arguments are: image, mask, seed"),
        ({"image": 7}, "'image' takes a path, bytes"),
        ({"image": io.StringIO("x")}, "'image' takes a path, bytes"),
        ({"image": b"x", "mask": [b"x"]}, "'mask' takes a path, bytes"),
    ],
)
def test_a_wrong_call_says_what_to_pass(arguments, said):
    with pytest.raises(TypeError, match=said):
        JobInput.from_inputs(**arguments)


def test_arguments_by_place_are_counted():
    with pytest.raises(TypeError, match="at most 5"):
        MaskInput.from_inputs(b"x", b"x", "0,0,9,9", "1,1", 0, 7)
    with pytest.raises(TypeError, match="'image' was given twice"):
        MaskInput.from_inputs(b"x", image=b"x")


def test_a_boundary_is_used_once(photo):
    """Nobody who makes a photo can know the boundary of the form that it is sent in."""
    forms = [MaskInput.from_inputs(photo).mime_type() for _ in range(2)]
    assert forms[0] != forms[1]


def test_nothing_is_taken_from_a_request():
    async def read():
        return await InferenceInput.from_http_request(object(), None)

    nothing = asyncio.run(read())
    assert {getattr(nothing, name) for name in InferenceInput.model_fields} == {None}


def test_an_engine_process_and_the_command_import_no_bentoml():
    """`from sam3d_bento import Sam3D` is there, and costs those nothing that do not ask for it."""
    modules = "sam3d_bento, sam3d_bento.cli.main, sam3d_bento.serving.worker.__main__, sam3d_bento.serverless.handler"
    loaded = "'bentoml' in sys.modules"
    code = f"import sys, {modules}; print({loaded}, hasattr(sam3d_bento, 'Sam3D'), {loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
