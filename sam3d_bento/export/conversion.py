"""Write a finished model as OBJ, STL, PLY, USDZ or 3MF.

The writers keep the frame of the mesh that they receive. `convert` transforms the mesh into the frame and the unit that
readers of each format expect, which `formats` describes.
"""

from __future__ import annotations

import io
import locale
import os
import re
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from trimesh.exchange import obj, ply, stl
from trimesh.visual.material import SimpleMaterial

from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.errors import NoScale
from sam3d_bento.export.glb.read import TexturedMesh, decoded, sampled
from sam3d_bento.export.glb.scene import PlacedMesh
from sam3d_bento.export.size import NO_SCALE, SMALLEST_EXTENT
from sam3d_bento.formats import FILE_TYPES, Format, FormatOptions, require
from sam3d_bento.names import UNNAMED
from sam3d_bento.options import Origin

# Texture types, with their file suffixes, that readers of OBJ and USDZ can be expected to know. Textures of other types
# are encoded as PNG for them.
TEXTURE_SUFFIXES = {"image/png": "png", "image/jpeg": "jpeg"}
# What divides the names of files in an OBJ and its material, and what begins a comment there.
OBJ_DIVIDERS = re.compile(r"[\s#]+")
# What an identifier of USD lacks. Newer versions allow letters of every script, which AR Quick Look may not know.
NOT_IN_USD_IDENTIFIERS = re.compile(r"[^A-Za-z0-9]+")
# Where the UUIDs in a 3MF come from, which only have to differ within the file.
NAMESPACE_3MF = uuid.uuid5(uuid.NAMESPACE_URL, "http://schemas.microsoft.com/3dmanufacturing/production/2015/06")
# Modification time of files in an archive; constant, so that equal models give equal bytes.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
USDZ_TIME = time.mktime((*ZIP_TIME, 0, 0, -1))  # the same, which USD reads from the files and writes as local time


def convert(
    mesh: TexturedMesh,
    wanted: Format,
    options: FormatOptions | None = None,
    *,
    origin: Origin | None = None,
    sized: bool = False,
) -> bytes:
    """Return the model as a file of a format in WRITERS.

    options: None for the format's defaults. origin, sized: as in `laid_out`, whose errors these are too. Raises
    UnsupportedMedia when the format needs an extra that is not installed.
    """
    return WRITERS[wanted](laid_out(mesh, wanted, options or FormatOptions(), origin=origin, sized=sized))


def laid_out(
    mesh: TexturedMesh, wanted: Format, options: FormatOptions, *, origin: Origin | None = None, sized: bool = False
) -> TexturedMesh:
    """Transform the mesh of a GLB into the frame and unit of a format; return it.

    sized: whether the mesh is in metres; otherwise it gets the length that the format has for such a model.
    origin: where the caller wants the origin; None for the format's default. Raises NoScale when the format needs
    metres and the mesh is not in metres.

    The steps, in this order: the size. `bottom` shifts the lowest point to y = 0. z as `up` turns the mesh by 90
    degrees about x, so that (x, y, z) becomes (x, -z, y), and the side that faced +z faces -y.
    """
    kind = FILE_TYPES[wanted]
    if kind.needs_size and not sized:
        raise NoScale(NO_SCALE)
    positions, normals = mesh.positions.astype(np.float64), mesh.normals
    if not sized and kind.unsized_metres is not None and len(positions):
        extent = float(np.ptp(positions, axis=0).max())
        positions = positions * (kind.unsized_metres / max(extent, SMALLEST_EXTENT))
    positions = positions * kind.units_per_metre
    if (origin or kind.origin) == "bottom" and len(positions):
        positions = positions - [0, positions[:, 1].min(), 0]
    if (options.up if "up" in kind.options else kind.up) == "z":
        positions, normals = z_up(positions), z_up(normals)
    return replace(mesh, positions=np.ascontiguousarray(positions, np.float32), normals=np.ascontiguousarray(normals))


def convert_scene(
    objects: Sequence[PlacedMesh],
    name: str,
    wanted: Format,
    options: FormatOptions | None = None,
    *,
    sized: bool = False,
) -> bytes:
    """Return a scene as a file of a format in WRITERS; the objects stay where they are to each other.

    name: of the scene, for the files and for the root of a USD package. An OBJ has a group for each object, a USD
    package a transform. options, sized: as in `convert`, whose errors these are too.
    """
    meshes = [each.in_scene() for each in objects]
    whole = replace(
        meshes[0],
        positions=np.concatenate([mesh.positions for mesh in meshes]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
    )
    laid = laid_out(whole, wanted, options or FormatOptions(), sized=sized)
    if wanted == "usdz":  # its layout only shifts
        shift = np.eye(4)
        shift[:3, 3] = laid.positions[0].astype(np.float64) - whole.positions[0]
        return to_usdz(*[replace(each, matrix=shift @ each.matrix) for each in objects], name=name)
    ends = np.cumsum([len(mesh.positions) for mesh in meshes])[:-1]
    parts = zip(meshes, np.split(laid.positions, ends), np.split(laid.normals, ends), strict=True)
    placed = [replace(mesh, positions=positions, normals=normals) for mesh, positions, normals in parts]
    return to_obj(*placed, name=name) if wanted == "obj" else WRITERS[wanted](*placed)


def z_up(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert vectors (N, 3) from a y-up frame to a z-up frame: (x, -z, y). Both frames are right-handed."""
    return np.stack([vectors[:, 0], -vectors[:, 2], vectors[:, 1]], axis=1)


class _AsTheyAre(trimesh.Scene):  # type: ignore[misc]  # trimesh has no types
    """Meshes for an exporter, which keep their normals. A scene of trimesh computes them anew, and shows the seams."""

    def __init__(self, meshes: list[trimesh.Trimesh]) -> None:
        super().__init__()
        self._meshes = meshes

    def dump(self, *args: Any, **kwargs: Any) -> list[trimesh.Trimesh]:
        """Return the meshes."""
        return self._meshes


def to_obj(*models: TexturedMesh, name: str | None = None) -> bytes:
    """Return a zip archive of the files of `obj_files`."""
    return zipped(obj_files(*models, name=name))


def obj_files(*models: TexturedMesh, name: str | None = None) -> dict[str, bytes]:
    """Return an OBJ, its materials and the textures' files, PNG or JPEG, by their names.

    name: of the OBJ; None for that of the only model. Each model is a group with its own material and texture, called
    like the model. In the names of the files, of the meshes and of the materials, an underscore stands for white space
    and for `#`.
    """
    models = tuple(map(with_common_texture, models))
    name = OBJ_DIVIDERS.sub("_", models[0].name if name is None else name)
    white, black = [255, 255, 255, 255], [0, 0, 0, 255]
    meshes: list[trimesh.Trimesh] = []
    textures: dict[str, bytes] = {}
    names = _distinct([OBJ_DIVIDERS.sub("_", model.name) for model in models])
    normal_maps: dict[str, str] = {}
    for own, bumps, model in zip(names, _normal_names(names), models, strict=True):
        suffix = TEXTURE_SUFFIXES[model.texture_type]
        # The material only needs the name of its image. The texture's file is added to the archive unchanged, without
        # decoding and encoding it again. The exporter takes materials of equal images for one.
        stand_in = Image.open(io.BytesIO(_encoded(np.zeros((1, 1, 3), np.uint8) + np.uint8(len(meshes)), suffix)))
        material = SimpleMaterial(
            image=stand_in, diffuse=white, ambient=white, specular=black, glossiness=1.0, name=own
        )
        visual = trimesh.visual.TextureVisuals(uv=upward(model.uv), material=material)
        meshes.append(
            trimesh.Trimesh(
                model.positions,
                model.faces,
                vertex_normals=model.normals,
                visual=visual,
                metadata={"name": own},
                process=False,
                validate=False,
            )
        )
        textures[f"{own}.{suffix}"] = model.texture
        if model.normal_map is not None:
            textures[f"{bumps}.png"] = model.normal_map
            normal_maps[f"{own}.{suffix}"] = f"{bumps}.png"
    text, files = obj.export_obj(
        meshes[0] if len(meshes) == 1 else _AsTheyAre(meshes),
        include_normals=True,
        return_texture=True,
        write_texture=False,
        mtl_name=f"{name}.mtl",
        header=None,
    )
    materials = _with_normal_maps(files[f"{name}.mtl"], normal_maps)
    return {f"{name}.obj": text.encode(), **files, f"{name}.mtl": materials, **textures}


def _normal_names(names: Sequence[str]) -> list[str]:
    """Return the names of the models' normal maps, which differ from one another and from the models' own names."""
    return _distinct([*names, *(f"{name}_normal" for name in names)])[len(names) :]


def _with_normal_maps(materials: bytes, normal_maps: Mapping[str, str]) -> bytes:
    """Return the materials' file of an OBJ with normal maps. normal_maps: their files by those of the textures.

    `norm` is what three.js and assimp read, `map_Bump` what Blender reads. Neither is in the original format.
    """
    lines = materials.splitlines()
    for texture, bumps in normal_maps.items():
        place = lines.index(f"map_Kd {texture}".encode())
        lines[place + 1 : place + 1] = [f"norm {bumps}".encode(), f"map_Bump -bm 1 {bumps}".encode()]
    return b"\n".join(lines)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of files by their names. Textures, which are packed already, are stored as they are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, content in files.items():
            is_texture = file.rpartition(".")[2] in TEXTURE_SUFFIXES.values()
            how = zipfile.ZIP_STORED if is_texture else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(file, ZIP_TIME), content, how)
    return packed.getvalue()


def to_stl(*models: TexturedMesh) -> bytes:
    """Return a binary STL, which holds the shape alone."""
    positions, faces = _joined([(model.positions, whole_faces(model)) for model in models])
    return bytes(stl.export_stl(trimesh.Trimesh(positions, faces, process=False, validate=False)))


def to_ply(*models: TexturedMesh) -> bytes:
    """Return a binary PLY mesh with normals and colours at its vertices.

    Vertices are merged across the texture's seams, so that the seams are closed.
    """
    merged = [_without_seams(model) for model in models]
    positions, faces = _joined([(positions, faces) for positions, _, _, faces in merged])
    mesh = trimesh.Trimesh(
        positions,
        faces,
        vertex_normals=np.concatenate([normals for _, normals, _, _ in merged]),
        vertex_colors=np.concatenate([colours for _, _, colours, _ in merged]),
        process=False,
        validate=False,
    )
    return bytes(ply.export_ply(mesh, vertex_normal=True))


def _joined(meshes: Sequence[tuple[Float32, Int32]]) -> tuple[Float32, Int32]:
    """Return the positions (N, 3) and faces (F, 3) of several meshes as those of one."""
    starts = np.cumsum([0, *(len(positions) for positions, _ in meshes)])[:-1]
    faces = [faces + start for (_, faces), start in zip(meshes, starts, strict=True)]
    return np.concatenate([positions for positions, _ in meshes]), np.concatenate(faces).astype(np.int32)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with a number after each that an earlier one has, so that all are different."""
    found: list[str] = []
    for name in names:
        number = 2
        own = name
        while own in found:
            own, number = f"{name}_{number}", number + 1
        found.append(own)
    return found


def _without_seams(model: TexturedMesh) -> tuple[Float32, Float32, UInt8, Int32]:
    """Return positions, normals and colours (N, 3) of the vertices, merged across seams, and the whole faces (F, 3)."""
    # Vertices that were duplicated along the texture's seams have equal positions and normals, bit for bit.
    both = np.hstack([model.positions, model.normals])
    _, first, place = np.unique(both, axis=0, return_index=True, return_inverse=True)
    place = place.reshape(-1)
    sums = np.zeros((len(first), 3))
    np.add.at(sums, place, sampled(model.image, model.uv))
    colours = np.rint(sums / np.bincount(place)[:, None]).clip(0, 255).astype(np.uint8)
    return model.positions[first], model.normals[first], colours, place[whole_faces(model)].astype(np.int32)


def to_usdz(*models: TexturedMesh | PlacedMesh, name: str | None = None) -> bytes:
    """Return a USD package with each mesh, a preview surface and the texture, PNG or JPEG.

    name: of the root; None for that of the only model. A placed mesh has a transform of its own below the root. The
    prims and the files inside are called like the models, as far as an identifier can be; the names themselves are the
    display names. Raises UnsupportedMedia without usd-core.
    """
    require("usdz")
    from pxr import Gf, Sdf, Usd, UsdGeom

    meshes = [with_common_texture(each.mesh if isinstance(each, PlacedMesh) else each) for each in models]
    shown_name = meshes[0].name if name is None else name
    root_name = usd_identifier(shown_name)
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / f"{root_name}.usdc"
        stage = Usd.Stage.CreateNew(str(layer))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        root = UsdGeom.Xform.Define(stage, f"/{root_name}")
        root.GetPrim().SetDisplayName(shown_name)
        stage.SetDefaultPrim(root.GetPrim())
        identifiers = _distinct([usd_identifier(mesh.name) for mesh in meshes])
        normal_names = _normal_names(identifiers)
        textures = []
        for identifier, normal_name, mesh, given in zip(identifiers, normal_names, meshes, models, strict=True):
            texture = Path(folder) / f"{identifier}.{TEXTURE_SUFFIXES[mesh.texture_type]}"
            texture.write_bytes(mesh.texture)
            textures.append(texture)
            normal_map = None
            if mesh.normal_map is not None:
                normal_map = f"{normal_name}.png"
                textures.append(Path(folder) / normal_map)
                textures[-1].write_bytes(mesh.normal_map)
            below = f"/{root_name}"
            if isinstance(given, PlacedMesh):
                below = f"{below}/{identifier}"
                # USD's matrices are for row vectors.
                UsdGeom.Xform.Define(stage, below).AddTransformOp().Set(Gf.Matrix4d(given.matrix.T.tolist()))
            _add_mesh(
                stage,
                mesh,
                f"{below}/{identifier}",
                f"{below}/materials/{identifier}",
                texture.name,
                normal_map,
            )
        stage.GetRootLayer().Save()
        package = Path(folder) / f"{root_name}.usdz"
        with Sdf.ZipFileWriter.CreateNew(str(package)) as archive:
            for file in (layer, *textures):  # the layer comes first, as USDZ asks
                os.utime(file, (USDZ_TIME, USDZ_TIME))
                archive.AddFile(str(file), file.name)
        return package.read_bytes()


def _add_mesh(
    stage: Any, model: TexturedMesh, path: str, material_path: str, texture: str, normal_map: str | None
) -> None:
    """Add a mesh and its material to a USD stage. texture, normal_map: the names of their files in the package."""
    from pxr import Gf, Sdf, UsdGeom, UsdShade, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(model.positions))
    mesh.CreateExtentAttr([Gf.Vec3f(*corner.tolist()) for corner in (model.positions.min(0), model.positions.max(0))])
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(model.faces.reshape(-1)))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(model.faces), 3, np.int32)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(model.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    uv = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    uv.Set(Vt.Vec2fArray.FromNumpy(upward(model.uv)))
    material = UsdShade.Material.Define(stage, material_path)
    _paint(stage, material, texture, normal_map)
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    for prim in (mesh, material):
        prim.GetPrim().SetDisplayName(model.name)


def to_3mf(*models: TexturedMesh) -> bytes:
    """Return a 3MF in millimetres with an object for each model, called like it, coloured at its vertices.

    The objects stand in the positive octant, as the specification wants, where they are to each other. Vertices are
    merged as in `to_ply`. Raises UnsupportedMedia without lib3mf.
    """
    require("3mf")
    import lib3mf

    library = lib3mf.Wrapper()
    document = library.CreateModel()
    document.SetUnit(lib3mf.ModelUnit.MilliMeter)
    corner = np.min([model.positions.min(0) for model in models], axis=0)
    shift = library.GetTranslationTransform(*(-corner).tolist())
    # Not by chance, as lib3mf makes them, so that equal models give equal bytes.
    document.SetBuildUUID(str(uuid.uuid5(NAMESPACE_3MF, "build")))
    for index, model in enumerate(models):
        positions, _, colours, faces = _without_seams(model)
        item = document.AddMeshObject()
        item.SetName(model.name)
        item.SetUUID(str(uuid.uuid5(NAMESPACE_3MF, f"object {index}")))
        item.SetGeometry(
            [lib3mf.Position(tuple(vertex)) for vertex in positions.tolist()],
            [lib3mf.Triangle(tuple(face)) for face in faces.tolist()],
        )
        group = document.AddColorGroup()
        palette, number = np.unique(colours, axis=0, return_inverse=True)
        ids = np.array([group.AddColor(library.RGBAToColor(*colour, 255)) for colour in palette.tolist()])
        resource = group.GetResourceID()
        corners = ids[number.reshape(-1)[faces]].tolist()
        item.SetAllTriangleProperties([lib3mf.TriangleProperties(resource, tuple(face)) for face in corners])
        item.SetObjectLevelProperty(resource, int(ids[0]))
        document.AddBuildItem(item, shift).SetUUID(str(uuid.uuid5(NAMESPACE_3MF, f"item {index}")))
    locale_before = locale.setlocale(locale.LC_ALL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.3mf"
            document.QueryWriter("3mf").WriteToFile(str(path))
            return path.read_bytes()
    finally:  # lib3mf sets that of C, in which Python reads and writes texts as ASCII
        locale.setlocale(locale.LC_ALL, locale_before)


def usd_identifier(name: str) -> str:
    """Return the name as an identifier of USD, of letters and digits of ASCII and underscores; UNNAMED without any."""
    identifier = NOT_IN_USD_IDENTIFIERS.sub("_", name).strip("_") or UNNAMED
    return f"_{identifier}" if identifier[0].isdigit() else identifier


def _paint(stage: Any, material: Any, texture: str, normal_map: str | None) -> None:
    """Give the material a preview surface that is not metallic, with a base colour and perhaps a normal map."""
    from pxr import Gf, Sdf, UsdShade

    types = Sdf.ValueTypeNames
    surface, reader = (UsdShade.Shader.Define(stage, f"{material.GetPath()}/{part}") for part in ("surface", "uv"))
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("metallic", types.Float).Set(0.0)
    surface.CreateInput("roughness", types.Float).Set(1.0)
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    place = reader.CreateOutput("result", types.Float2)

    def image(part: str, file: str, space: str) -> Any:
        found = UsdShade.Shader.Define(stage, f"{material.GetPath()}/{part}")
        found.CreateIdAttr("UsdUVTexture")
        found.CreateInput("file", types.Asset).Set(file)
        found.CreateInput("sourceColorSpace", types.Token).Set(space)
        for wrap in ("wrapS", "wrapT"):
            found.CreateInput(wrap, types.Token).Set("clamp")
        found.CreateInput("st", types.Float2).ConnectToSource(place)
        return found

    colours = image("texture", texture, "sRGB").CreateOutput("rgb", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(colours)
    if normal_map is not None:
        bumps = image("normal_map", normal_map, "raw")
        bumps.CreateInput("scale", types.Float4).Set(Gf.Vec4f(2, 2, 2, 1))
        bumps.CreateInput("bias", types.Float4).Set(Gf.Vec4f(-1, -1, -1, 0))
        surface.CreateInput("normal", types.Normal3f).ConnectToSource(bumps.CreateOutput("rgb", types.Float3))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))


def whole_faces(model: TexturedMesh) -> Int32:
    """Return the faces (F, 3) whose three corners have different positions.

    A packed model can have other faces: the corners of a sliver may be rounded to the same step of the positions' grid.
    Readers of STL weld corners of equal positions. A face that is left with two corners would leave the surface open
    for them.
    """
    first, second, third = (model.positions[model.faces[:, corner]] for corner in range(3))
    together = (first == second).all(1) | (second == third).all(1) | (third == first).all(1)
    apart: Int32 = model.faces[~together]
    return apart


def with_common_texture(model: TexturedMesh) -> TexturedMesh:
    """Return the model with its texture as PNG if it is neither PNG nor JPEG (WebP, say). The pixels stay the same.

    The normal map becomes a PNG too.
    """
    model = model if model.texture_type in TEXTURE_SUFFIXES else as_png(model)
    if model.normal_map is None or model.normal_map_type == "image/png":
        return model
    return replace(model, normal_map=_encoded(decoded(model.normal_map), "png"), normal_map_type="image/png")


def as_png(model: TexturedMesh) -> TexturedMesh:
    """Return the model with its texture as PNG. The pixels stay the same."""
    if model.texture_type == "image/png":
        return model
    return replace(model, texture=_encoded(model.image, "png"), texture_type="image/png")


def upward(uv: Float32) -> Float32:
    """Return texture coordinates (N, 2) whose v points up, as in every format but glTF."""
    return np.ascontiguousarray(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1))


def _encoded(pixels: UInt8, suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix.upper())
    return file.getvalue()


# The writers of the formats that are made from a model alone, beside the GLB itself; `physics.robot_files` and
# `splat_file` have the others. `formats.FILE_TYPES` describes
# each format.
WRITERS: dict[Format, Callable[..., bytes]] = {
    "obj": to_obj,
    "stl": to_stl,
    "ply": to_ply,
    "usdz": to_usdz,
    "3mf": to_3mf,
}
