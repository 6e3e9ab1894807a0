import io
import json
import zipfile

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from sam3d_bento.cli.main import main
from sam3d_bento.export.glb.read import read_document
from sam3d_bento.reconstruction import NamedReconstruction, Reconstruction
from tests.support import finished

SMALL = ["--target-faces", "1000", "--texture-size", "512"]


@pytest.fixture
def run(mask_model, monkeypatch):
    """Run a command; its output. (mask_model: its file is there.)"""
    monkeypatch.setenv("SAM3D_ENGINE", "preview")

    def command(*arguments, status=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == status, (result.output, result.exception)
        assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
        return result.output

    return command


@pytest.mark.slow
def test_a_photo_becomes_a_glb_named_like_it(run, photo, tmp_path):
    output = run("generate", photo, "-o", tmp_path / "out", *SMALL, "--seed", "3")
    mesh = trimesh.load_mesh(tmp_path / "out" / "ball.glb")
    assert 0 < len(mesh.faces) <= 1000
    assert "preview" in output
    assert "seed 3" in output


@pytest.mark.slow
def test_a_picture_of_the_model_lies_beside_it(run, photo, tmp_path):
    run("generate", photo, "-o", tmp_path / "out", *SMALL)
    picture = Image.open(tmp_path / "out" / "ball.webp")
    assert (picture.size, picture.mode) == ((512, 512), "RGBA")
    red, green, blue, alpha = picture.getpixel((256, 256))
    assert alpha == 255
    assert red > green > blue


def test_a_picture_never_takes_the_place_of_the_photo(run, photo, tmp_path):
    webp = tmp_path / "ball.webp"
    Image.open(photo).save(webp)
    content = webp.read_bytes()
    assert "overwrite" in run("generate", webp, "-o", tmp_path, *SMALL, status=2)
    assert webp.read_bytes() == content


def test_a_server_that_is_not_there_is_a_sentence(run, photo, tmp_path):
    output = run("generate", photo, "-o", tmp_path / "out", "--server", "http://127.0.0.1:1", status=1)
    assert "cannot be reached" in output
    assert "Traceback" not in output


def test_save_reconstruction_cannot_be_used_with_a_server(run, photo, tmp_path):
    arguments = ("--server", "http://127.0.0.1:1", "--save-reconstruction", tmp_path / "x.npz")
    assert "--save-reconstruction" in run("generate", photo, *arguments, status=2)


@pytest.mark.slow
def test_one_bad_photo_does_not_cost_the_others(run, photo, tmp_path):
    (tmp_path / "bad.jpg").write_text("no photo")
    output = run("generate", tmp_path / "bad.jpg", photo, "-o", tmp_path / "out", *SMALL, status=1)
    assert "bad.jpg" in output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ball.glb", "ball.webp"]


def test_photos_of_the_same_name_are_refused_before_anything_runs(run, photo, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "ball.png").write_bytes(photo.read_bytes())
    assert "overwrite" in run("generate", photo, other / "ball.png", "-o", tmp_path / "out", status=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_saved_reconstruction_is_exported_again_without_the_photo(run, photo, tmp_path):
    scan = tmp_path / "scan.npz"
    run("generate", photo, "-o", tmp_path, *SMALL, "--save-reconstruction", scan)
    dense = Reconstruction.load(scan)
    assert len(dense.faces) > 5000
    photo.unlink()
    output = run("export", scan, "-o", tmp_path / "again.glb", "--target-faces", "2000", "--texture-size", "512")
    again = trimesh.load_mesh(tmp_path / "again.glb")
    assert 1000 < len(again.faces) <= 2000
    assert again.visual.material.baseColorTexture.size == (512, 512)
    assert "again.glb" in output
    run("export", scan, "-o", tmp_path / "robot.glb", "--preset", "robot", "--target-faces", "1000")
    robot = trimesh.load_mesh(tmp_path / "robot.glb")
    assert (len(robot.faces) <= 1000, robot.visual.material.baseColorTexture.size) == (True, (512, 512))
    assert robot.bounds[0, 1] == 0


def test_a_mask_is_written_in_the_photos_size(run, photo, tmp_path):
    output = run("mask", photo, "-o", tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").size == (80, 80)
    assert "alpha" in output


def test_points_and_a_box_choose_the_object_of_a_mask(run, photo, tmp_path):
    output = run(
        "mask", photo, "-o", tmp_path / "mask.png", "--box", "10,10,70,70", "--point", "40,40", "--point", "1,1,0"
    )
    assert "from prompt" in output
    assert "candidate 0: covers" in output
    assert Image.open(tmp_path / "mask.png").getpixel((40, 40)) == 255


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--point", "1,nan"], "--point: send x,y,1"),
        (["--box", "1,2,3"], "--box: send x0,y0,x1,y1"),
        (["--candidate", "1"], "--candidate: it goes with"),
        (["--target-faces", "999"], "--target-faces"),
        (["--texture-size", "1000"], "--texture-size"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_an_option_out_of_range_is_named(run, photo, tmp_path, arguments, said):
    assert said in run("generate", photo, "-o", tmp_path, *arguments, status=2)


def test_an_unreadable_scan_is_a_sentence_not_a_traceback(run, tmp_path):
    (tmp_path / "scan.npz").write_bytes(b"nonsense")
    output = run("export", tmp_path / "scan.npz", "-o", tmp_path / "x.glb", status=1)
    assert "not a readable" in output
    assert "Traceback" not in output


def test_a_missing_mask_model_says_how_to_get_it(run, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("SAM3D_MASK_DIR", str(tmp_path / "empty"))
    assert "weights fetch" in run("generate", photo, "-o", tmp_path, status=1)


def test_a_bad_setting_is_a_sentence(run, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("SAM3D_ENGINE", "magic")
    assert "SAM3D_ENGINE" in run("generate", photo, "-o", tmp_path, status=1)


@pytest.mark.slow
def test_the_glb_tells_how_it_was_made(run, photo, tmp_path):
    run("generate", photo, "-o", tmp_path, *SMALL, "--seed", "3")
    document = trimesh.exchange.gltf.load_glb(io.BytesIO((tmp_path / "ball.glb").read_bytes()))
    assert document  # trimesh reads it
    text = (tmp_path / "ball.glb").read_bytes()[:6000].decode("ascii", "replace")
    for fact in ('"engine":"preview"', '"seed":3', '"source":"alpha"', "shape_guessed"):
        assert fact in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spelling", "compress"),
    [
        ([], False),
        (["--compress"], True),
        (["--compress", "true"], True),
        (["--compress=true"], True),
        (["--compress", "false"], False),
        (["--compress", "quantize"], "quantize"),
        (["--compress=quantize"], "quantize"),
    ],
)
def test_compress_stands_alone_or_has_a_value_wherever_it_stands(run, photo, tmp_path, spelling, compress):
    scan = tmp_path / "scan.npz"
    finished.reconstruction().save(scan)
    for arguments in (["export", *spelling, scan], ["export", scan, *spelling]):
        run(*arguments, "-o", tmp_path / "x.glb", *SMALL)
        extras = read_document((tmp_path / "x.glb").read_bytes())["asset"]["extras"]
        assert extras["options"]["compress"] == compress
    assert "--compress" in run("export", scan, "-o", tmp_path / "x.glb", "--compress=much", status=2)


@pytest.fixture
def scan(tmp_path):
    finished.reconstruction().save(tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.glb", b"glTF"),
        ("x.PLY", b"ply\nformat binary"),
        ("x.splats.ply", b"ply\nformat binary"),
        ("x.usdz", b"PK"),
        ("x.splats.glb", b"glTF"),
        ("x.obj.zip", b"PK"),
        ("x.lods.zip", b"PK"),
        ("x.OBJ", b"mtllib x.mtl"),
    ],
)
def test_a_file_has_the_format_that_its_name_says(run, scan, tmp_path, name, start):
    output = run("export", scan, "-o", tmp_path / name, *SMALL)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert name in output


def test_an_stl_is_upright_and_as_long_as_it_should_be(run, scan, tmp_path):
    for arguments, length in (((), 100), (("--longest-side", "0.25", "--up", "y"), 250)):
        run("export", scan, "-o", tmp_path / "x.stl", *SMALL, *arguments)
        assert trimesh.load_mesh(tmp_path / "x.stl").extents.max() == pytest.approx(length, rel=1e-5)


def test_a_body_needs_a_size_and_an_archive_is_called_without_its_whole_suffix(run, scan, photo, tmp_path):
    for arguments in (
        ("export", scan, "-o", tmp_path / "x.mjcf.zip"),
        ("generate", photo, "-o", tmp_path / "x.urdf.zip"),
    ):
        said = run(*arguments, *SMALL, status=1 if arguments[0] == "export" else 2)
        assert "height" in said
        assert not list(tmp_path.glob("x.*"))
    run("export", scan, "-o", tmp_path / "x.mjcf.zip", *SMALL, "--height", "0.1", "--density", "2400")
    run("export", scan, "-o", tmp_path / "x.obj.zip", *SMALL)
    assert "x.obj" in zipfile.ZipFile(tmp_path / "x.obj.zip").namelist()
    assert "x.xml" in zipfile.ZipFile(tmp_path / "x.mjcf.zip").namelist()


def test_an_obj_opens_with_its_material_and_texture_beside_it_and_is_called_like_its_file(run, scan, tmp_path):
    run("export", scan, "-o", tmp_path / "red cup.obj", *SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"scan.npz", "red cup.obj", "red_cup.mtl", "red_cup.png"}
    mesh = trimesh.load_mesh(tmp_path / "red cup.obj", process=False)
    assert mesh.visual.material.image.size == (512, 512)
    run("export", scan, "-o", tmp_path / "red cup.obj", *SMALL, "--texture-size", "1024")
    mesh = trimesh.load_mesh(tmp_path / "red cup.obj", process=False)
    assert mesh.visual.material.image.size == (1024, 1024), "an earlier export is replaced"


def test_an_obj_overwrites_no_photo_of_its_name(run, scan, photo, tmp_path):
    content = photo.read_bytes()
    assert "ball.png" in run("export", scan, "-o", tmp_path / "ball.obj", *SMALL, status=2)
    assert photo.read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"scan.npz", "ball.png"}


@pytest.mark.slow
def test_a_model_is_called_like_its_photo_or_as_it_is_told(run, photo, scan, tmp_path):
    run("generate", photo, "-o", tmp_path / "out", *SMALL)
    run("generate", photo, "-o", tmp_path / "out", *SMALL, "--name", "a/Роза")
    run("export", scan, "-o", tmp_path / "out" / "vase.glb", *SMALL)
    for name in ("ball", "Роза", "vase"):
        document = read_document((tmp_path / "out" / f"{name}.glb").read_bytes())
        assert document["nodes"][0]["name"] == name
        assert document["asset"]["extras"]["name"] == name


@pytest.mark.slow
def test_a_photo_becomes_the_file_that_is_named_in_its_format(run, photo, tmp_path):
    run("generate", photo, "-o", tmp_path / "cup.stl", *SMALL)
    assert len(trimesh.load_mesh(tmp_path / "cup.stl").faces) > 0
    run("generate", photo, "-o", tmp_path / "out", *SMALL, "--format", "obj", "--format", "glb")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ball.obj.zip", "ball.glb", "ball.webp"}


def test_american_spelling_is_understood(run, scan, tmp_path):
    run("export", scan, "-o", tmp_path / "x.glb", *SMALL, "--color-source", "splats")
    extras = read_document((tmp_path / "x.glb").read_bytes())["asset"]["extras"]
    assert extras["options"]["colour_source"] == "splats"


@pytest.mark.slow
def test_folders_keep_their_names_and_what_exists_is_left_out(run, photo, tmp_path, capsys):
    for place in ("shop/red", "shop/blue"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "cup.png").write_bytes(photo.read_bytes())
    (tmp_path / "shop" / "blank.png").write_bytes(b"no photo")
    arguments = ("generate", tmp_path / "shop", "--recursive", "-o", tmp_path / "out", *SMALL)
    said = run(*arguments, status=1)
    results = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.glb"))
    assert results == ["blue/cup.glb", "red/cup.glb"]
    assert "2 done, 1 failed, " in said
    assert "blank.png: " in said
    assert "The preview engine fits a shape to the silhouette" in said, "a warning is a sentence"
    (tmp_path / "out" / "red" / "cup.glb").unlink()
    before = (tmp_path / "out" / "blue" / "cup.glb").stat()
    said = run(*arguments, "--skip-existing", "--json", status=1)
    lines = [json.loads(line) for line in said.splitlines()]
    assert {line["photo"].partition("shop/")[2]: line["state"] for line in lines} == {
        "blue/cup.png": "skipped",
        "blank.png": "failed",
        "red/cup.png": "done",
    }
    assert (tmp_path / "out" / "blue" / "cup.glb").stat() == before
    by_state = {line["state"]: line for line in lines}
    assert by_state["failed"]["error"]["code"] == "unsupported_media"
    assert by_state["done"]["report"]["name"] == "cup"
    assert by_state["done"]["files"] == {"glb": str(tmp_path / "out" / "red" / "cup.glb")}


@pytest.mark.slow
def test_quiet_prints_errors_only(run, photo, tmp_path):
    assert run("generate", photo, "-o", tmp_path / "out", *SMALL, "--quiet") == ""
    (tmp_path / "blank.png").write_bytes(b"no photo")
    assert "blank.png" in run("generate", tmp_path / "blank.png", "-o", tmp_path / "out", "--quiet", status=1)


def test_a_format_may_be_named(run, scan, tmp_path):
    run("export", scan, "-o", tmp_path / "x.stl", "--format", "glb", *SMALL)
    assert (tmp_path / "x.stl").read_bytes().startswith(b"glTF")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("x.glb", ["--up", "z"], "'up' does not go with the format 'glb', only with stl, ply"),
        ("x.usdz", ["--longest-side", "1", "--height", "1"], "--longest-side: send either 'height' or 'longest_side'"),
        ("x.stl", ["--longest-side", "0"], "--longest-side"),
        ("x.stl", ["--density", "500"], "'density' does not go with the format 'stl', only with urdf, mjcf"),
        ("x.urdf.zip", ["--height", "0.1", "--density", "1"], "density"),
        ("x.stl", ["--height", "nan"], "--height"),
        ("x.model", [], "none of .glb, .lods.zip, .obj.zip, .stl,"),
        ("x", [], "or --format"),
    ],
)
def test_option_of_another_format_is_named_and_nothing_is_written(run, scan, tmp_path, name, arguments, said):
    output = run("export", scan, "-o", tmp_path / name, *arguments, status=2)
    assert said in " ".join(output.replace("│", " ").split())
    assert not (tmp_path / name).exists()


@pytest.fixture
def table(tmp_path):
    """A photo of two discs with a mask of each, and its labels."""
    row, column = np.mgrid[:90, :120]
    discs = [(row - 45) ** 2 + (column - middle) ** 2 < 22**2 for middle in (30, 88)]
    photo = np.full((90, 120, 3), 235, np.uint8)
    photo[discs[0]], photo[discs[1]] = (200, 60, 20), (20, 60, 200)
    Image.fromarray(photo).save(tmp_path / "table.png")
    for index, disc in enumerate(discs):
        Image.fromarray(disc.astype(np.uint8) * np.uint8(255)).save(tmp_path / f"mask{index}.png")
    Image.fromarray((discs[0] * 1 + discs[1] * 2).astype(np.uint8)).save(tmp_path / "labels.png")
    (tmp_path / "objects.json").write_text('[{"name": "plum", "mask": 1}, {"name": "apple", "mask": 0}]')
    return tmp_path


@pytest.mark.slow
def test_several_objects_by_masks_labels_or_a_list(run, table):
    photo, out = table / "table.png", table / "out"
    masks = ["--masks", table / "mask0.png", "--masks", table / "mask1.png"]
    shape = ["--shape", "puff", *SMALL, "-o", out]
    for arguments, names in (
        (masks, ["object-1", "object-2"]),
        (["--labels", table / "labels.png"], ["object-1", "object-2"]),
        ([*masks, "--objects", table / "objects.json"], ["plum", "apple"]),
    ):
        run("generate", photo, *arguments, *shape)
        document = read_document((out / "table.glb").read_bytes())
        assert [node["name"] for node in document["nodes"]] == ["scene", "camera", *names]
        assert document["asset"]["extras"]["name"] == "table"
    assert (out / "table.webp").exists()
    saved = table / "scan.npz"
    saved.write_bytes(b"of an earlier run")
    run("generate", photo, *masks, *shape, "--save-reconstruction", saved)
    assert len(NamedReconstruction.load(saved, "object-2").vertices) > 100


def test_what_does_not_go_with_several_objects_is_a_sentence(run, table):
    photo, masks = table / "table.png", ["--masks", table / "mask0.png"]
    assert "single photo" in run("generate", photo, table / "mask0.png", *masks, status=2)
    assert "JSON" in run("generate", photo, "--objects", table / "none.json", status=2)
    assert "'height' is that of a single object" in run("generate", photo, *masks, "--height", "1", status=1)
