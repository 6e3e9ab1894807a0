"""Convert a GLB with packed geometry into one that every reader supports."""

from __future__ import annotations

from sam3d_bento.export.glb import geometry
from sam3d_bento.export.glb.read import WEBP, read_document, read_glb
from sam3d_bento.export.glb.write import assemble


def unpack_glb(glb: bytes) -> bytes:
    """Return the same model with its geometry in float32.

    A file whose geometry already is float32 is returned unchanged. The texture stays encoded as it is. Raises
    BadRequest as `read_glb` does.
    """
    document = read_document(glb)
    if set(document.get("extensionsRequired", ())) <= {WEBP}:
        return glb
    mesh = read_glb(glb)
    plain = geometry.plain(mesh.positions, mesh.normals, mesh.uv, mesh.faces, mesh.tangents)
    extras, (material,) = document.get("asset", {}).get("extras", {}), document["materials"]
    double_sided = bool(material.get("doubleSided", False))
    pictures = [(mesh.texture, mesh.texture_type)]
    if mesh.normal_map is not None:
        pictures.append((mesh.normal_map, mesh.normal_map_type))
    return assemble(plain, pictures, extras, mesh.name, double_sided)
