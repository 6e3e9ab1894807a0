"""Options of one reconstruction.

This is the only description of an option: its name, values, default and sentence. The HTTP form and its schema, the
query, the command line, the serverless input, the studio and the table in docs/api.md derive from it.
"""

from collections.abc import Callable, Mapping
from math import isfinite, nan
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from sam3d_bento import names
from sam3d_bento.errors import BadRequest
from sam3d_bento.prompt import (
    MAX_BOX_CHARACTERS,
    MAX_CANDIDATES,
    MAX_POINTS_CHARACTERS,
    Prompt,
    box_of_text,
    points_of_text,
)

# Largest seed: that of a signed 32-bit integer, which every random generator in use accepts.
SEED_MAX = 2**31 - 1

# Smallest and largest length of a model, in metres: a millimetre, and what is hardly an object any more.
MIN_METRES = 0.001
MAX_METRES = 1000

# Largest number of faces of a mesh: a file of about 15 MB, as large as browsers and engines take for one object.
MAX_FACES = 200_000

Origin = Literal["centre", "bottom"]
Frame = Literal["camera", "ground"]
Shape = Literal["auto", "puff", "lathe", "box"]
Compression = bool | Literal["quantize"]
PresetName = Literal["web", "game", "print", "robot"]

# Options for a purpose. Whatever is given besides replaces a preset's value. All can be changed by an export.
PRESETS: dict[PresetName, dict[str, Any]] = {
    # A page loads it in a second, and every viewer that shops use shows it: no decoder is needed.
    "web": {"target_faces": 20_000, "texture_format": "webp", "compress": "quantize", "origin": "bottom"},
    # Engines compress textures themselves and place objects by the point on which they stand.
    "game": {"target_faces": 5_000, "texture_size": 2048, "normal_map": True, "origin": "bottom"},
    # A slicer does not care how many faces there are, and a print shows the flat ones of a coarse mesh.
    "print": {"target_faces": 200_000, "origin": "bottom"},
    # Simulators read PNG alone, and draw many objects at a time.
    "robot": {"target_faces": 10_000, "texture_size": 512, "origin": "bottom"},
}


class Options(BaseModel):
    """Checked options of one run. Sizes are in pixels, counts in faces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[
        int | None, Field(ge=0, le=SEED_MAX, description="Random seed; if absent, one is chosen and reported.")
    ] = None
    texture_size: Annotated[
        Literal[512, 1024, 2048, 4096], Field(description="Width and height of the base-colour texture, in pixels.")
    ] = 1024
    max_deviation: Annotated[
        float | None,
        Field(
            ge=0.0001,
            le=0.05,
            allow_inf_nan=False,
            description="Largest distance between the mesh and the engine's dense one, as a share of the longest side; "
            "instead of `target_faces`.",
        ),
    ] = None
    target_faces: Annotated[int, Field(ge=1_000, le=MAX_FACES, description="Largest number of faces of the mesh.")] = (
        40_000
    )

    @field_validator("target_faces")
    @classmethod
    def _only_one_limit(cls, target_faces: int, given: ValidationInfo) -> int:
        # A default is not validated, so this number is given. Hence the order of the two fields.
        if given.data.get("max_deviation") is not None:
            raise ValueError("send either 'target_faces' or 'max_deviation', not both")
        return target_faces

    @model_serializer(mode="wrap")
    def _without_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `target_faces` out of what is recorded where `max_deviation` counts instead."""
        values: dict[str, Any] = serialize(self)
        if values.get("max_deviation") is not None:
            values.pop("target_faces", None)
        return values

    quality: Annotated[
        Literal["draft", "standard", "high"],
        Field(description="Effort of the engine; the preview engine ignores it."),
    ] = "standard"
    shape: Annotated[
        Shape, Field(description="Shape class of the preview engine; `auto`: the class that fits the silhouette.")
    ] = "auto"
    colour_source: Annotated[
        Literal["auto", "mesh", "splats", "fused"],
        Field(
            description="Source of the texture's colours; `auto`: the mesh, or mesh and splats where the splats "
            "have more detail."
        ),
    ] = "auto"
    texture_format: Annotated[
        Literal["png", "jpeg", "webp"],
        Field(description="Encoding of the texture; `webp` needs a viewer that supports EXT_texture_webp."),
    ] = "png"
    normal_map: Annotated[
        bool,
        Field(
            description="`true`: a normal map, so that few faces are shaded as the engine's dense mesh; left out where "
            "it would not help."
        ),
    ] = False
    compress: Annotated[
        Compression,
        Field(
            description="`true`: quantized and packed geometry, for viewers that know EXT_meshopt_compression; "
            "`quantize`: quantized alone, for viewers without a decoder."
        ),
    ] = False
    scale: Annotated[
        Literal["unit", "metric"],
        Field(
            description="Unit of the model where no size is given; `unit`: its longest side is about 1; `metric`: "
            "metres, measured with the photo's depth, or estimated where the service can."
        ),
    ] = "unit"
    height: Annotated[
        float | None,
        Field(ge=MIN_METRES, le=MAX_METRES, allow_inf_nan=False, description="Height of the model in metres."),
    ] = None
    longest_side: Annotated[
        float | None,
        Field(
            ge=MIN_METRES,
            le=MAX_METRES,
            allow_inf_nan=False,
            description="Longest side of the model in metres; instead of `height`.",
        ),
    ] = None
    origin: Annotated[
        Origin | None,
        Field(
            description="Point at height 0; `bottom`: the lowest point, so that the model stands on the floor. If "
            "absent: `bottom` in USDZ, URDF, MJCF and 3MF, otherwise `centre`."
        ),
    ] = None

    intrinsics: Annotated[
        str | None,
        Field(
            max_length=200,
            description="The photo's camera as `fx,fy,cx,cy`, in pixels of the upright photo. If absent: from the "
            "depth's archive or the photo's EXIF.",
        ),
    ] = None
    pointmap_frame: Annotated[
        Literal["opencv", "opengl", "pytorch3d"],
        Field(description="Camera frame of `pointmap`; `opencv`: x right, y down, z forward; `opengl`: as in glTF."),
    ] = "opencv"

    @field_validator("intrinsics")
    @classmethod
    def _only_camera(cls, intrinsics: str | None) -> str | None:
        if intrinsics is not None:
            _numbers(intrinsics)
        return intrinsics

    @property
    def camera_numbers(self) -> tuple[float, float, float, float]:
        """The four numbers of `intrinsics`, which must be there: fx, fy, cx, cy in pixels."""
        assert self.intrinsics is not None
        return _numbers(self.intrinsics)

    box: Annotated[
        str | None,
        Field(
            max_length=MAX_BOX_CHARACTERS,
            description="Box around the object that is meant, as `x0,y0,x1,y1` in pixels of the upright photo; "
            "instead of `mask`.",
        ),
    ] = None
    points: Annotated[
        str | None,
        Field(
            max_length=MAX_POINTS_CHARACTERS,
            description="Pixels on the object that is meant, `x,y,1`, and beside it, `x,y,0`, separated by semicolons; "
            "instead of `mask` or with `box`.",
        ),
    ] = None
    candidate: Annotated[
        int | None,
        Field(
            ge=0,
            lt=MAX_CANDIDATES,
            description="Which of the masks that `points` or `box` may mean, counted from 0 by size; if absent, the "
            "best.",
        ),
    ] = None

    @field_validator("box")
    @classmethod
    def _only_box(cls, box: str | None) -> str | None:
        if box is not None:
            box_of_text(box)
        return box

    @field_validator("points")
    @classmethod
    def _only_points(cls, points: str | None, given: ValidationInfo) -> str | None:
        if points is not None and "box" in given.data:  # else the box is wrong itself
            _prompt(points, given.data["box"], None)
        return points

    @field_validator("candidate")
    @classmethod
    def _only_with_prompt(cls, candidate: int | None, given: ValidationInfo) -> int | None:
        if candidate is not None and given.data.get("points") is None and given.data.get("box") is None:
            raise ValueError("it goes with 'points' or 'box'")
        return candidate

    @property
    def prompt(self) -> Prompt | None:
        """Return what the caller points at, or None without `points` and `box`."""
        return _prompt(self.points, self.box, self.candidate)

    @field_validator("longest_side")
    @classmethod
    def _only_one_size(cls, longest_side: float | None, given: ValidationInfo) -> float | None:
        if longest_side is not None and given.data.get("height") is not None:
            raise ValueError("send either 'height' or 'longest_side', not both")
        return longest_side

    @property
    def has_size(self) -> bool:
        """Whether the size of the model is given."""
        return self.height is not None or self.longest_side is not None

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the options with other values for some. A size, or `scale`, among these replaces the size so far.

        `target_faces` among them replaces `max_deviation`. changes: checked values by name.
        """
        without: dict[str, Any] = {}
        if not GIVEN_SIZES.union({"scale"}).isdisjoint(changes):
            without |= dict.fromkeys(GIVEN_SIZES)
        if "target_faces" in changes:
            without["max_deviation"] = None
        return self.model_copy(update={**without, **changes})

    pose: Annotated[
        Literal["network", "refined"],
        Field(
            description="Poses of the objects of a scene; `network`: as the engine gives them; `refined`: fitted to "
            "mask and depth, where that fits better."
        ),
    ] = "network"
    frame: Annotated[
        Frame,
        Field(
            description="Frame of a scene; `camera`: the photo's camera stands at the origin; `ground`: the objects "
            "stand upright on the floor at height 0."
        ),
    ] = "camera"

    name: Annotated[
        str | None,
        Field(
            max_length=names.MAX_INPUT_CHARACTERS,
            description="What the result is called: its files, its mesh and its material. Cleaned to "
            f"{names.MAX_CHARACTERS} characters; absent: the photo's file name without its suffix.",
        ),
        AfterValidator(lambda text: None if text is None else names.cleaned(text)),
    ] = None

    double_sided: Annotated[
        bool, Field(description="`true`: viewers of the GLB show the faces from behind too, as in openings.")
    ] = False
    # Excluded from what is recorded: the options for which it stands are.
    preset: Annotated[
        PresetName | None,
        Field(
            exclude=True,
            description="Options for a purpose; those that are given as well replace the preset's. `web`: small, no "
            "decoder; `game`: few faces with a normal map; `print`: many faces; `robot`: few faces, small texture.",
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        """Replace a preset by its options, except those that are given."""
        preset = values.get("preset") if isinstance(values, dict) else None
        if not isinstance(preset, str) or preset not in PRESETS:
            return values
        stands_for = dict(PRESETS[preset])
        if values.get("max_deviation") is not None:
            stands_for.pop("target_faces", None)
        return {**stands_for, **{name: value for name, value in values.items() if name != "preset"}}

    @property
    def result_name(self) -> str:
        """Return what the result is called: the name, or UNNAMED where there is none."""
        return self.name or names.UNNAMED

    def named_after(self, file_name: str | None) -> "Options":
        """Return the options with the name of the photo's file, if they have no name. None: the file has no name."""
        found = None if file_name is None else names.of_file(file_name)
        return self if self.name is not None or found is None else self.model_copy(update={"name": found})


# Options that a report and `asset.extras` hold with the values that were used, beside `options`.
USED_VALUES = frozenset({"seed", "name"})
# Options that decide what the mesh is, not how it is written. Another value of one needs another run of the engine.
ENGINE_OPTIONS = frozenset(
    {"pose", "seed", "quality", "shape", "intrinsics", "pointmap_frame", "points", "box", "candidate"}
)
# Options that say which object of the photo is meant. `/api/mask` takes them as well.
PROMPT_OPTIONS = ("box", "points", "candidate")
# Options that give a size; at most one of them is used.
GIVEN_SIZES = frozenset({"height", "longest_side"})
# Options that decide how large the model is and where its origin is, not its shape.
SIZE_OPTIONS = GIVEN_SIZES | {"scale", "origin"}
# All other options, which a finished result can be exported again with.
EXPORT_OPTIONS = tuple(name for name in Options.model_fields if name not in ENGINE_OPTIONS)


def _numbers(intrinsics: str) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a text. Raises ValueError for anything but four finite numbers, two positive first."""
    try:
        fx, fy, cx, cy = (float(number) for number in intrinsics.split(","))
    except ValueError:
        fx = fy = cx = cy = nan
    if not all(map(isfinite, (fx, fy, cx, cy))) or min(fx, fy) <= 0:
        raise ValueError("send four numbers, fx,fy,cx,cy, in pixels of the upright photo")
    return fx, fy, cx, cy


def _prompt(points: str | None, box: str | None, candidate: int | None) -> Prompt | None:
    """Return the prompt of these texts, or None without any. Raises ValueError."""
    if points is None and box is None:
        return None
    return Prompt(
        () if points is None else points_of_text(points), None if box is None else box_of_text(box), candidate
    )


def checked(values: Mapping[str, Any], *, strict: bool = False) -> Options:
    """Return the checked options. Raises BadRequest that names each wrong value.

    The keys of `values` must be names of options.
    strict: accept a number only as a number, as in JSON; otherwise accept its text as well, as in a form.
    """
    try:
        return Options.model_validate(values, strict=strict)
    except ValidationError as exc:
        raise BadRequest(f"A field has an invalid value. {faults(exc)}.") from exc


def faults(error: ValidationError, spelt: Callable[[str], str] = lambda name: f"'{name}'") -> str:
    """Return what is wrong with each value, for a message. spelt: the name of an option as the message spells it."""
    return "; ".join(
        f"{spelt(str(fault['loc'][0]))}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_context=False)
    )


def choices(name: str) -> tuple[Any, ...] | None:
    """Return the values that the option accepts, or None where they are a range."""
    return listed_values(Options.model_fields[name].annotation)


def listed_values(annotation: Any) -> tuple[Any, ...] | None:
    """Return the values of a type that lists them: Literal, bool, or a union of these; None for any other type.

    None, for an absent value, is not one of them.
    """
    if annotation is NoneType:
        return ()
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        parts = [listed_values(part) for part in get_args(annotation)]
        return None if None in parts else tuple(value for part in parts if part for value in part)
    return None


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Convert options that arrive as texts, as from a form or a command line, into values for `checked`.

    A number in a list of choices becomes a number, because pydantic does not convert these. All other values stay
    texts, from which `checked` reads numbers and booleans.
    """
    values: dict[str, Any] = dict(texts)
    for name, text in texts.items():
        listed = choices(name) if name in Options.model_fields else None
        # The length is limited because Python refuses to read thousands of digits.
        if listed and type(listed[0]) is int and text.isascii() and text.isdigit() and len(text) < 10:
            values[name] = int(text)
    return values
