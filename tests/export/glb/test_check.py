import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sam3d_bento.arrays import Float32
from sam3d_bento.errors import BadResult
from sam3d_bento.export.glb.check import check
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from tests.support.export_meshes import document, sphere

VERTICES, FACES = sphere(8)
TEXTURE = np.full((4, 4, 3), 200, np.uint8)


def good(positions: Float32 = VERTICES, normals: Float32 | None = None, uv: Float32 | None = None) -> bytes:
    normals = vertex_normals(VERTICES, FACES) if normals is None else normals
    uv = (VERTICES[:, :2] + np.float32(0.5)).clip(0, 1) if uv is None else uv
    return write_glb(positions, normals, uv, FACES, TEXTURE, {})


def changed(glb: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with its JSON chunk changed."""
    content = document(glb)
    change(content)
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    (length,) = struct.unpack_from("<I", glb, 12)
    rest = glb[20 + length :]
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest


def test_a_good_file_passes() -> None:
    check(good())


def test_a_file_without_texture_fails() -> None:
    def strip(content: dict[str, Any]) -> None:
        del content["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]

    with pytest.raises(BadResult, match="base-colour texture"):
        check(changed(good(), strip))


def test_a_file_without_texture_coordinates_fails() -> None:
    def strip(content: dict[str, Any]) -> None:
        del content["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"]

    with pytest.raises(BadResult, match="no texture coordinates"):
        check(changed(good(), strip))


def test_a_file_without_faces_fails() -> None:
    def strip(content: dict[str, Any]) -> None:
        content["accessors"][0]["count"] = 0

    with pytest.raises(BadResult):
        check(changed(good(), strip))


@pytest.mark.parametrize("outside", [-0.01, 1.01])
def test_texture_coordinates_outside_fail(outside: float) -> None:
    uv = np.full((len(VERTICES), 2), 0.5, np.float32)
    uv[3, 1] = outside
    with pytest.raises(BadResult, match="outside of its texture"):
        check(good(uv=uv))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_fail(bad: float) -> None:
    normals = vertex_normals(VERTICES, FACES)
    normals[4, 0] = bad
    uv = np.full((len(VERTICES), 2), 0.5, np.float32)
    uv[3, 1] = bad
    for glb in (good(normals=normals), good(uv=uv)):
        with pytest.raises(BadResult, match="not finite"):
            check(glb)


@pytest.mark.parametrize("keep", [0, 3, 12, 25, 200, -1000, -40])
def test_a_truncated_file_fails(keep: int) -> None:
    with pytest.raises(BadResult):
        check(good()[:keep])


def test_a_texture_that_cannot_be_decoded_fails() -> None:
    glb = good()
    at = glb.index(b"IDAT")
    with pytest.raises(BadResult):
        check(glb[: at + 6] + b"\0\0\0\0\0\0\0\0" + glb[at + 14 :])


@pytest.mark.parametrize("content", [b"", b"glTF", b"{}", bytes(range(256)) * 4])
def test_other_content_fails(content: bytes) -> None:
    with pytest.raises(BadResult, match="cannot be read back"):
        check(content)
