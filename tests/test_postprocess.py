import dataclasses
import html
import io
import re
import zipfile
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import plyfile
import pytest
import trimesh

from sam3d_bento.errors import Cancelled, NoScale, NotFound
from sam3d_bento.export import splat_file
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.read import read_document, read_glb, sampled
from sam3d_bento.export.splat_file import SPLAT_WRITERS
from sam3d_bento.formats import FormatOptions
from sam3d_bento.options import choices
from sam3d_bento.postprocess import Postprocessor
from sam3d_bento.reconstruction import MeasuredScale, Pose
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ExportSubmission, ThumbnailSubmission
from tests.support import finished


def silent(stage, fraction):
    pass


@pytest.fixture
def stored(tmp_path):
    """The files of a result: its GLB, and the reconstruction that it was made from."""
    dense = finished.reconstruction()
    (tmp_path / "result.glb").write_bytes(finished.glb(dense))
    dense.save(tmp_path / "result.npz")
    return tmp_path / "result.glb", tmp_path / "result.npz"


def run(order, report=silent):
    return Postprocessor.load(Settings()).run(order, report)


@pytest.mark.parametrize("made", [{}, {"compress": True, "texture_format": "webp"}])
def test_a_web_bundle_is_a_small_glb_a_usdz_a_picture_and_a_page_that_names_them(tmp_path, made):
    stored = tmp_path / "result.glb"
    stored.write_bytes(finished.glb(options=finished.OPTIONS.model_copy(update={"name": "R&D стул", **made})))
    content = run(ExportSubmission(stored, None, "web", {}))
    archive = zipfile.ZipFile(io.BytesIO(content))
    files = archive.namelist()
    assert files == ["index.html", "R&D стул.glb", "R&D стул.usdz", "R&D стул.webp"]
    page = archive.read("index.html").decode()
    element = re.search(r"<model-viewer (.*?)>", page, re.DOTALL).group(1)
    named = {name: unquote(html.unescape(value)) for name, value in re.findall(r'([\w-]+)="([^"]*)"', element)}
    assert {named["src"], named["ios-src"], named["poster"]} == set(files) - {"index.html"}
    assert named["alt"] == "R&D стул"
    glb = archive.read("R&D стул.glb")
    document = read_document(glb)
    assert set(document["extensionsUsed"]) == {"KHR_mesh_quantization", "EXT_texture_webp"}
    assert len(glb) < stored.stat().st_size or made
    assert read_glb(glb).positions[:, 1].min() == pytest.approx(0, abs=1e-3), "it stands on the floor"
    assert document["asset"]["extras"]["options"]["origin"] == "bottom"
    usdz = zipfile.ZipFile(io.BytesIO(archive.read("R&D стул.usdz"))).namelist()
    assert any(name.endswith(".jpeg") for name in usdz)


def test_a_result_with_its_own_options_is_the_stored_file(stored):
    glb, _ = stored
    assert run(ExportSubmission(glb, None, "glb", {})) == glb.read_bytes()
    assert run(ExportSubmission(glb, None, "glb", {"target_faces": 1000})) == glb.read_bytes()


def test_other_options_are_exported_from_the_reconstruction_and_the_file_says_so(stored):
    glb, scan = stored
    content = run(ExportSubmission(glb, scan, "glb", {"target_faces": 3000}))
    assert 1000 < len(trimesh.load_mesh(io.BytesIO(content), file_type="glb").faces) <= 3000
    before, after = (read_document(file)["asset"]["extras"] for file in (glb.read_bytes(), content))
    assert after["options"] == {**before["options"], "target_faces": 3000}
    assert (after["seed"], after["engine"]) == (before["seed"], before["engine"])


def test_an_export_is_what_a_run_with_these_options_would_have_given(stored):
    glb, scan = stored
    options = finished.OPTIONS.model_copy(update={"target_faces": 3000})
    assert run(ExportSubmission(glb, scan, "glb", {"target_faces": 3000})) == finished.glb(options=options)


@pytest.mark.parametrize("compress", [False, True])
def test_another_name_changes_the_name_and_nothing_else(tmp_path, compress):
    options = finished.OPTIONS.model_copy(update={"compress": compress, "texture_format": "jpeg", "name": "chair"})
    (tmp_path / "result.glb").write_bytes(finished.glb(options=options))
    renamed = run(ExportSubmission(tmp_path / "result.glb", None, "glb", {"name": "стул"}))
    assert renamed == finished.glb(options=options.model_copy(update={"name": "стул"}))
    assert container.split(renamed)[1] == container.split((tmp_path / "result.glb").read_bytes())[1]


def test_double_sided_is_what_a_run_would_have_given_and_concerns_the_glb_alone(tmp_path):
    (tmp_path / "result.glb").write_bytes(finished.glb())
    order = ExportSubmission(tmp_path / "result.glb", None, "glb", {"double_sided": True})
    assert run(order) == finished.glb(options=finished.OPTIONS.model_copy(update={"double_sided": True}))
    plain, marked = (
        run(dataclasses.replace(order, format="obj", changes=changes)) for changes in ({}, {"double_sided": True})
    )
    assert plain == marked


def test_a_model_keeps_its_name_in_other_sizes_and_formats(tmp_path):
    dense = finished.reconstruction()
    (tmp_path / "result.glb").write_bytes(finished.glb(dense, finished.OPTIONS.model_copy(update={"name": "chair"})))
    dense.save(tmp_path / "result.npz")
    stored = tmp_path / "result.glb", tmp_path / "result.npz"
    for changes in ({"target_faces": 2000}, {"texture_format": "jpeg"}, {"compress": "quantize"}):
        content = run(ExportSubmission(*stored, "glb", changes))
        assert read_document(content)["asset"]["extras"]["name"] == "chair"
        assert read_glb(content).name == "chair"
    for changes, name in (({}, "chair"), ({"target_faces": 2000}, "chair"), ({"name": "stool"}, "stool")):
        archive = zipfile.ZipFile(io.BytesIO(run(ExportSubmission(*stored, "obj", changes))))
        assert sorted(archive.namelist()) == [f"{name}.mtl", f"{name}.obj", f"{name}.png"]


@pytest.mark.parametrize(("wanted", "start"), [("obj", b"PK"), ("ply", b"ply"), ("usdz", b"PK"), ("stl", b"")])
def test_every_format_is_made_with_other_options_too(stored, wanted, start):
    content = run(ExportSubmission(*stored, wanted, {"target_faces": 2000}))
    assert content.startswith(start)
    assert content != run(ExportSubmission(*stored, wanted, {}))


def test_gaussians_come_from_the_reconstruction(stored, tmp_path):
    glb, scan = stored
    vertex = plyfile.PlyData.read(io.BytesIO(run(ExportSubmission(glb, scan, "ply-splats", {}))))["vertex"]
    assert len(vertex) == len(finished.reconstruction().splats.positions)
    as_glb = run(ExportSubmission(glb, scan, "splats-glb", {"name": "cup"}))
    assert as_glb == splat_file.to_glb(finished.reconstruction().splats, "cup")
    finished.reconstruction(splats=False).save(tmp_path / "bare.npz")
    for wanted in SPLAT_WRITERS:
        with pytest.raises(NotFound, match="no gaussians"):
            run(ExportSubmission(glb, tmp_path / "bare.npz", wanted, {}))


@pytest.mark.parametrize("changes", [{}, {"height": 0.25, "origin": "bottom"}])
def test_gaussians_are_where_the_mesh_is_in_both_formats(stored, changes):
    glb, scan = stored
    low, high = trimesh.load_mesh(io.BytesIO(run(ExportSubmission(glb, scan, "glb", changes))), file_type="glb").bounds
    vertex = plyfile.PlyData.read(io.BytesIO(run(ExportSubmission(glb, scan, "ply-splats", changes))))["vertex"]
    points = np.stack([vertex[axis] for axis in "xyz"], 1)
    slack = 0.02 * (high - low).max()
    assert np.allclose([points.min(0), points.max(0)], [low, high], atol=slack)
    document = read_document(run(ExportSubmission(glb, scan, "splats-glb", changes)))
    assert np.array_equal(document["accessors"][0]["min"], points.min(0))
    assert np.array_equal(document["accessors"][0]["max"], points.max(0))


def test_without_its_reconstruction_a_result_keeps_its_own_options(stored):
    glb, _ = stored
    assert run(ExportSubmission(glb, None, "stl", {}))
    for order in (
        ExportSubmission(glb, None, "stl", {"target_faces": 3000}),
        ExportSubmission(glb, None, "ply-splats", {}),
    ):
        with pytest.raises(NotFound, match="not kept"):
            run(order)


def test_a_result_of_another_version_is_exported_all_the_same(tmp_path):
    """It may have options that this version does not know, and lack some that it has."""
    dense = finished.reconstruction()
    from sam3d_bento.export import to_glb

    options = {"texture_size": 512, "target_faces": 1000, "from_the_future": 1}
    (tmp_path / "a.glb").write_bytes(to_glb(dense, finished.OPTIONS, {"options": options}).glb)
    dense.save(tmp_path / "a.npz")
    assert run(ExportSubmission(tmp_path / "a.glb", tmp_path / "a.npz", "stl", {"target_faces": 2000}))


def test_asset_that_expires_meanwhile_is_not_found(stored, tmp_path):
    with pytest.raises(NotFound, match="expired"):
        run(ExportSubmission(tmp_path / "gone.glb", None, "stl", {}))
    with pytest.raises(NotFound, match="not kept"):
        run(ExportSubmission(stored[0], tmp_path / "gone.npz", "stl", {"target_faces": 3000}))


def extents(content, kind="glb"):
    return trimesh.load_mesh(io.BytesIO(content), file_type=kind).extents


def test_a_height_of_95_millimetres_on_the_floor(stored):
    glb, scan = stored
    content = run(ExportSubmission(glb, scan, "glb", {"height": 0.095, "origin": "bottom"}))
    positions = read_glb(content).positions
    assert np.ptp(positions[:, 1]) == pytest.approx(0.095, abs=1e-6)
    assert positions[:, 1].min() == 0
    scale = read_document(content)["asset"]["extras"]["scale"]
    assert (scale["source"], scale["metres"][1]) == ("given", 0.095)


@pytest.mark.parametrize("changes", [{"height": 0.095, "origin": "bottom"}, {"scale": "metric"}])
def test_another_size_gives_the_bytes_of_a_run_with_that_size(tmp_path, changes):
    pose = Pose(
        np.float32([0.5, 0.5, -0.5, 0.5]), np.float32([0.1234567, 0.2, 1.7]), np.float32([0.3] * 3), "pytorch3d"
    )
    dense = dataclasses.replace(finished.reconstruction(), pose=pose, measured=MeasuredScale(0.123, "depth", 0.02))
    (tmp_path / "a.glb").write_bytes(finished.glb(dense))
    dense.save(tmp_path / "a.npz")
    wanted = finished.OPTIONS.model_copy(update=changes)
    for scan in (tmp_path / "a.npz", None):
        assert run(ExportSubmission(tmp_path / "a.glb", scan, "glb", changes)) == finished.glb(dense, wanted)


@pytest.mark.parametrize("scan_is_kept", [True, False])
def test_a_size_replaces_the_size_of_the_result_and_unit_takes_it_away(stored, tmp_path, scan_is_kept):
    scan = stored[1] if scan_is_kept else None
    sized = tmp_path / "sized.glb"
    sized.write_bytes(finished.glb(options=finished.OPTIONS.model_copy(update={"height": 0.2, "origin": "bottom"})))
    assert extents(sized.read_bytes())[1] == pytest.approx(0.2, rel=1e-6)
    assert extents(run(ExportSubmission(sized, scan, "glb", {"longest_side": 4}))).max() == pytest.approx(4, rel=1e-6)
    back = run(ExportSubmission(sized, scan, "glb", {"scale": "unit", "origin": "centre"}))
    assert read_glb(back).positions == pytest.approx(read_glb(stored[0].read_bytes()).positions, abs=1e-6)


def test_an_stl_is_in_millimetres_and_all_other_formats_are_in_metres(stored):
    changes = {"height": 0.25}
    height = {
        "stl": extents(run(ExportSubmission(*stored, "stl", changes)), "stl")[2],
        "ply": extents(run(ExportSubmission(*stored, "ply", changes)), "ply")[2],
    }
    assert height == pytest.approx({"stl": 250, "ply": 0.25}, rel=1e-6)
    obj = zipfile.ZipFile(io.BytesIO(run(ExportSubmission(*stored, "obj", changes))))
    text = next(obj.read(name).decode() for name in obj.namelist() if name.endswith(".obj"))
    assert np.ptp([float(line.split()[2]) for line in text.splitlines() if line.startswith("v ")]) == pytest.approx(
        0.25, rel=1e-6
    )
    assert extents(run(ExportSubmission(*stored, "stl", {})), "stl").max() == pytest.approx(100, rel=1e-6)


def test_gaussians_have_the_size_of_the_mesh(stored):
    def splats(changes):
        return plyfile.PlyData.read(io.BytesIO(run(ExportSubmission(*stored, "ply-splats", changes))))["vertex"]

    before, after = splats({}), splats({"longest_side": 2, "origin": "bottom"})
    factor = 2 / extents(stored[0].read_bytes()).max()
    assert after["x"] == pytest.approx(before["x"] * factor, rel=1e-5)
    assert np.exp(after["scale_0"]) == pytest.approx(np.exp(before["scale_0"]) * factor, rel=1e-5)
    assert after["y"].min() == pytest.approx(0, abs=0.03)


def test_a_scale_that_is_not_known_is_refused_and_the_next_step_named(stored):
    with pytest.raises(NoScale, match="'height'"):
        run(ExportSubmission(*stored, "glb", {"scale": "metric"}))


def test_a_thumbnail_is_drawn_of_the_glb(stored):
    assert run(ThumbnailSubmission(stored[0]))[8:12] == b"WEBP"


def test_an_export_ends_when_nobody_wants_it(stored):
    def report(stage, fraction):
        if fraction > 0:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        run(ExportSubmission(*stored, "glb", {"target_faces": 3000}), report)


def put(folder, dense, **changes):
    """The file of a result with these options."""
    options = finished.OPTIONS.model_copy(update=changes)
    folder.mkdir(exist_ok=True)
    (folder / "a.glb").write_bytes(finished.glb(dense, options))
    return folder / "a.glb"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A packed result with a WebP texture, and nothing beside it."""
    return put(tmp_path_factory.mktemp("packed"), None, compress=True, texture_format="webp")


def test_a_packed_result_is_drawn_and_had_in_every_format_without_its_reconstruction(packed):
    assert run(ExportSubmission(packed, None, "glb", {})) == packed.read_bytes()
    assert run(ThumbnailSubmission(packed))[8:12] == b"WEBP"
    for wanted, start in (("obj", b"PK"), ("ply", b"ply"), ("usdz", b"PK"), ("stl", b"")):
        assert run(ExportSubmission(packed, None, wanted, {})).startswith(start)
    plain = run(ExportSubmission(packed, None, "stl", {}))
    sphere = trimesh.load_mesh(io.BytesIO(plain), file_type="stl")
    assert sphere.is_watertight
    assert len(sphere.faces) == read_document(packed.read_bytes())["asset"]["extras"]["faces"]


@pytest.mark.parametrize("texture_format", choices("texture_format"))
@pytest.mark.parametrize("compress", [False, True, "quantize"])
def test_a_packed_result_is_encoded_anew_without_its_reconstruction(packed, compress, texture_format):
    changes = {"compress": compress, "texture_format": texture_format}
    glb = run(ExportSubmission(packed, None, "glb", changes))
    before, after = (read_document(file)["asset"]["extras"] for file in (packed.read_bytes(), glb))
    assert after == {**before, "options": {**before["options"], **changes}}
    mesh, original = read_glb(glb), read_glb(packed.read_bytes())
    assert mesh.texture_type == f"image/{texture_format}"
    assert len(mesh.faces) == len(original.faces)
    assert finished.agree(mesh.positions, sampled(mesh.image, mesh.uv))


@pytest.mark.parametrize("texture_format", choices("texture_format"))
@pytest.mark.parametrize("compress", [False, True, "quantize"])
def test_a_plain_result_encoded_anew_is_what_a_run_with_these_options_would_have_given(
    stored, compress, texture_format
):
    """Also without its reconstruction: nothing of it is lost in a plain file with a PNG texture."""
    changes = {"compress": compress, "texture_format": texture_format}
    options = finished.OPTIONS.model_copy(update=changes)
    assert run(ExportSubmission(stored[0], None, "glb", changes)) == finished.glb(options=options)


def test_reconstruction_of_a_packed_result_is_used_for_a_better_export(packed, stored):
    changes = {"compress": False, "texture_format": "png"}
    assert run(ExportSubmission(packed, stored[1], "glb", changes)) == finished.glb()


def test_options_without_effect_on_the_format_change_nothing(stored, packed):
    glb, _ = stored
    for wanted in ("obj", "stl", "ply"):
        own = run(ExportSubmission(glb, None, wanted, {}))
        assert run(ExportSubmission(glb, None, wanted, {"compress": True, "texture_format": "webp"})) == own
        packed_own = run(ExportSubmission(packed, None, wanted, {}))
        assert run(ExportSubmission(packed, None, wanted, {"compress": False})) == packed_own


def test_an_obj_has_the_texture_that_was_wanted(stored):
    content = run(ExportSubmission(stored[0], None, "obj", {"texture_format": "jpeg"}))
    assert "object.jpeg" in zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_another_size_of_a_packed_result_in_another_format_loses_nothing(packed, stored):
    """It is made from the reconstruction, and not packed on its way."""
    plain = run(ExportSubmission(*stored, "stl", {"target_faces": 2000}))
    assert run(ExportSubmission(packed, stored[1], "stl", {"target_faces": 2000})) == plain


def test_a_glb_gets_collision_shapes_around_its_mesh_and_only_if_they_are_asked_for(stored):
    glb, scan = stored
    changes = {"height": 0.25, "origin": "bottom"}
    asked = run(ExportSubmission(glb, scan, "glb", changes, FormatOptions(collision="hull")))
    scene = trimesh.load_scene(io.BytesIO(asked), file_type="glb")
    model, around = (scene.geometry[name] for name in ("object", "UCX_object_00"))
    assert np.allclose(around.bounds, model.bounds, atol=0.005)
    assert around.is_convex
    plain = run(ExportSubmission(glb, scan, "glb", changes))
    assert read_document(plain)["nodes"] == read_document(asked)["nodes"][:1]


@pytest.mark.parametrize(("wanted", "main"), [("urdf", "object.urdf"), ("mjcf", "object.xml")])
def test_a_body_needs_a_size_and_gets_its_mass_from_it(stored, wanted, main):
    with pytest.raises(NoScale, match="'height'"):
        run(ExportSubmission(*stored, wanted, {}))
    content = run(ExportSubmission(*stored, wanted, {"height": 0.1}, FormatOptions(density=2000)))
    archive = zipfile.ZipFile(io.BytesIO(content))
    root = ElementTree.fromstring(archive.read(main))
    mass = root.find(".//mass").get("value") if wanted == "urdf" else root.find(".//inertial").get("mass")
    assert float(mass) == pytest.approx(2000 * 4 / 3 * np.pi * 0.05**3, rel=0.02)
    seen = trimesh.load_mesh(io.BytesIO(archive.read("visual.obj")), file_type="obj", process=False)
    assert np.allclose(seen.bounds[:, 2], [0, 0.1], atol=1e-6), "z is up, and it stands on the floor"


def test_levels_of_detail_come_from_the_reconstruction_with_the_options_of_the_result(stored):
    archive = zipfile.ZipFile(io.BytesIO(run(ExportSubmission(*stored, "glb-lods", {"name": "ball"}))))
    assert archive.namelist() == ["manifest.json", "ball_lod0.glb", "ball_lod1.glb"], "a third would have 62 faces"
    first, second = (read_glb(archive.read(name)) for name in archive.namelist()[1:])
    assert (len(first.faces) <= 1000, len(second.faces) <= 250) == (True, True)
    assert len(first.image) == finished.OPTIONS.texture_size
    finer = run(ExportSubmission(*stored, "glb-lods", {"target_faces": 4000}, FormatOptions(lods=2)))
    assert len(zipfile.ZipFile(io.BytesIO(finer)).namelist()) == 3
    with pytest.raises(NotFound, match="not kept"):
        run(ExportSubmission(stored[0], None, "glb-lods", {}))


def test_a_deviation_in_an_export_replaces_the_number_of_faces_and_is_kept(stored, tmp_path):
    content = run(ExportSubmission(*stored, "glb", {"max_deviation": 0.002}))
    extras = read_document(content)["asset"]["extras"]
    assert extras["deviation"] <= extras["options"]["max_deviation"] == 0.002
    (tmp_path / "result.glb").write_bytes(content)
    assert run(ExportSubmission(tmp_path / "result.glb", None, "glb", {})) == content
    back = read_document(run(ExportSubmission(*stored, "glb", {"target_faces": 2000})))["asset"]["extras"]
    assert (back["options"]["target_faces"], back["deviation"]) == (2000, None)


def test_a_warning_of_a_former_export_goes_with_its_cause(stored):
    glb, scan = stored
    dense = dataclasses.replace(finished.reconstruction(), splats=None)
    dense.save(scan)
    glb.write_bytes(run(ExportSubmission(glb, scan, "glb", {"colour_source": "splats"})))
    glb.write_bytes(run(ExportSubmission(glb, scan, "glb", {"colour_source": "splats", "texture_size": 512})))
    assert read_document(glb.read_bytes())["asset"]["extras"]["warnings"] == ["splats_missing"], "once"
    content = run(ExportSubmission(glb, scan, "glb", {"colour_source": "mesh"}))
    assert read_document(content)["asset"]["extras"]["warnings"] == []


def bumpy():
    """A ball with waves that a thousand faces cannot follow."""
    dense = finished.reconstruction()
    length = 1 + 0.03 * np.sin(30 * dense.vertices).sum(axis=1, keepdims=True)
    return dataclasses.replace(dense, vertices=(dense.vertices * length * 0.9).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"compress": "quantize"},
        {"double_sided": True},
        {"texture_format": "webp", "height": 0.2},
        {"normal_map": False},
        {"name": "ball"},
    ],
    ids=str,
)
def test_an_export_of_a_result_with_a_normal_map_is_what_a_run_would_have_given(tmp_path, changes):
    dense, options = bumpy(), finished.OPTIONS.model_copy(update={"normal_map": True})
    (tmp_path / "result.glb").write_bytes(finished.glb(dense, options))
    dense.save(tmp_path / "result.npz")
    content = run(ExportSubmission(tmp_path / "result.glb", tmp_path / "result.npz", "glb", changes))
    assert content == finished.glb(dense, options.model_copy(update=changes))
    assert (read_glb(content).normal_map is None) == ("normal_map" in changes)


@pytest.mark.slow
def test_a_normal_map_is_added_to_a_result_by_its_reconstruction(tmp_path):
    dense = bumpy()
    (tmp_path / "result.glb").write_bytes(finished.glb(dense))
    dense.save(tmp_path / "result.npz")
    stored = tmp_path / "result.glb", tmp_path / "result.npz"
    assert read_glb(stored[0].read_bytes()).normal_map is None
    assert read_glb(run(ExportSubmission(*stored, "glb", {"normal_map": True}))).normal_map is not None
    with pytest.raises(NotFound, match="not kept"):
        run(ExportSubmission(stored[0], None, "glb", {"normal_map": True}))


@pytest.mark.slow
def test_a_result_with_a_normal_map_is_had_in_every_format(tmp_path):
    dense = bumpy()
    options = finished.OPTIONS.model_copy(update={"normal_map": True, "texture_format": "webp", "height": 0.2})
    (tmp_path / "result.glb").write_bytes(finished.glb(dense, options))
    dense.save(tmp_path / "result.npz")
    for wanted in ("obj", "stl", "ply", "usdz", "3mf", "urdf", "mjcf", "web", "glb-lods"):
        content = run(ExportSubmission(tmp_path / "result.glb", tmp_path / "result.npz", wanted, {}))
        names = zipfile.ZipFile(io.BytesIO(content)).namelist() if content.startswith(b"PK") else []
        assert any(name.endswith("_normal.png") for name in names) == (wanted in ("obj", "usdz", "urdf")), wanted
