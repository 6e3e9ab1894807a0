"""Write a model as one rigid body: URDF (ROS, Isaac Sim, PyBullet) or MJCF (MuJoCo), zipped with its files.

Both have z up, metres and kilograms. The files in an archive lie side by side, because MuJoCo looks for those of a URDF
there, and have the same names in each archive, which any file system takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from sam3d_bento.export.conversion import as_png, laid_out, obj_files, zipped
from sam3d_bento.export.glb.read import TexturedMesh
from sam3d_bento.export.physics.body import Body, make_body
from sam3d_bento.export.physics.collision import ConvexShape
from sam3d_bento.formats import Format, FormatOptions, require
from sam3d_bento.options import Origin

VISUAL = "visual"  # name of the mesh that is seen, and of its files
# Groups of MuJoCo's viewer: meshes that are only seen, and shapes that only collide, which it does not show at first.
VISUAL_GROUP, COLLISION_GROUP = "2", "3"

# Files of an archive by their names: from the visual mesh, the body and the name of the model.
Writer = Callable[[TexturedMesh, Body, str], dict[str, bytes]]


def convert(
    mesh: TexturedMesh, wanted: Format, options: FormatOptions, *, origin: Origin | None = None, sized: bool = False
) -> bytes:
    """Return the model as an archive of a format in BODY_WRITERS. Arguments and errors: as in `conversion.convert`."""
    require(wanted, options)
    placed = laid_out(mesh, wanted, options, origin=origin, sized=sized)
    body = make_body(placed, options.collision or "hull", options.density)
    files = BODY_WRITERS[wanted](replace(placed, name=VISUAL), body, mesh.name)
    shapes = {f"{_shape_name(number)}.obj": _obj(shape) for number, shape in enumerate(body.shapes)}
    return zipped({**files, **shapes})


def to_urdf(mesh: TexturedMesh, body: Body, name: str) -> dict[str, bytes]:
    """Return a URDF of one link, and the OBJ of its mesh with material and texture."""
    robot = ElementTree.Element("robot", name=name)
    link = ElementTree.SubElement(robot, "link", name="base_link")
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "origin", xyz=_numbers(body.centre), rpy="0 0 0")
    ElementTree.SubElement(inertial, "mass", value=_numbers([body.mass]))
    terms = {"ixx": (0, 0), "ixy": (0, 1), "ixz": (0, 2), "iyy": (1, 1), "iyz": (1, 2), "izz": (2, 2)}
    ElementTree.SubElement(
        inertial, "inertia", {term: _numbers([body.inertia[place]]) for term, place in terms.items()}
    )
    shapes = [("collision", _shape_name(number)) for number in range(len(body.shapes))]
    for role, file in [("visual", VISUAL), *shapes]:
        geometry = ElementTree.SubElement(ElementTree.SubElement(link, role, name=file), "geometry")
        ElementTree.SubElement(geometry, "mesh", filename=f"{file}.obj")
    return {f"{name}.urdf": _xml(robot), **obj_files(mesh)}


def to_mjcf(mesh: TexturedMesh, body: Body, name: str) -> dict[str, bytes]:
    """Return an MJCF of one body that can move freely, and the OBJ of its mesh and its texture as PNG."""
    model = ElementTree.Element("mujoco", model=name)
    assets = ElementTree.SubElement(model, "asset")
    ElementTree.SubElement(assets, "texture", name=VISUAL, type="2d", file=f"{VISUAL}.png")
    ElementTree.SubElement(assets, "material", name=VISUAL, texture=VISUAL, specular="0", shininess="0")
    # What is only seen needs no volume.
    ElementTree.SubElement(assets, "mesh", name=VISUAL, file=f"{VISUAL}.obj", inertia="shell")
    part = ElementTree.SubElement(ElementTree.SubElement(model, "worldbody"), "body", name=name)
    ElementTree.SubElement(part, "freejoint")
    tensor = [body.inertia[place] for place in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    inertial = {"pos": _numbers(body.centre), "mass": _numbers([body.mass]), "fullinertia": _numbers(tensor)}
    ElementTree.SubElement(part, "inertial", inertial)
    seen = {"contype": "0", "conaffinity": "0", "group": VISUAL_GROUP}
    ElementTree.SubElement(part, "geom", {"type": "mesh", "mesh": VISUAL, "material": VISUAL, **seen})
    for number in range(len(body.shapes)):
        shape = _shape_name(number)
        ElementTree.SubElement(assets, "mesh", name=shape, file=f"{shape}.obj")
        ElementTree.SubElement(part, "geom", {"type": "mesh", "mesh": shape, "group": COLLISION_GROUP})
    files = obj_files(as_png(mesh))
    return {
        f"{name}.xml": _xml(model),
        f"{VISUAL}.obj": files[f"{VISUAL}.obj"],
        f"{VISUAL}.png": files[f"{VISUAL}.png"],
    }


def _shape_name(number: int) -> str:
    return f"collision_{number:02d}"


def _obj(shape: ConvexShape) -> bytes:
    """Return an OBJ of vertices and faces alone."""
    vertices = [f"v {_numbers(vertex)}" for vertex in shape.vertices]
    faces = [f"f {' '.join(str(corner + 1) for corner in face)}" for face in shape.faces.tolist()]
    return ("\n".join([*vertices, *faces]) + "\n").encode()


def _numbers(values: Iterable[float]) -> str:
    """Return numbers as a text, of as many digits as float32 holds."""
    return " ".join(f"{float(np.float64(value)) + 0.0:.9g}" for value in values)


def _xml(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


# The writers of the formats that are made from a model and its body. `formats.FILE_TYPES` describes each format.
BODY_WRITERS: dict[Format, Writer] = {"urdf": to_urdf, "mjcf": to_mjcf}
