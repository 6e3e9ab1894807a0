"""One frozen, typed description of how this process is set up, read from `SAM3D_*` environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

PREFIX = "SAM3D_"
# What is no setting of the service: the key that `generate --server` shows.
CLIENT_KEY_FILE = "SAM3D_API_KEY_FILE"

# Pillow's own limit stays as it is: it is global, and it also guards what decoders allocate while they open a file.
PILLOW_MAX_PIXELS = 178_956_970


def _whole(value: Any) -> Any:
    """Accept `5e9` and `20_000_000` for a whole number, as people write sizes."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else value
    return value


def _listed(value: Any) -> Any:
    """Accept `a.example.com, b.example.com` for a list of names."""
    return tuple(name.strip().lower() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _with_s3(value: Any, info: ValidationInfo) -> Any:
    """Refuse a setting that would be ignored: it belongs to an `s3://` address, and there is none."""
    url = info.data.get("output_url", "s3://")  # absent when it was refused itself
    if value is not None and not (url or "").startswith("s3://"):
        raise ValueError("it goes with a SAM3D_OUTPUT_URL that begins with s3://")
    return value


def _with_keys(value: Any, info: ValidationInfo) -> Any:
    """Refuse a setting that would be ignored: without keys, every door is open."""
    if value and info.data.get("api_keys_file", "refused itself") is None:
        raise ValueError("it goes with SAM3D_API_KEYS_FILE")
    return value


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sam3d-bento"


Count = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EngineName = Literal["sam3d", "preview"]  # what each of them is, `engines.ENGINES` says
HostName = Annotated[str, Field(pattern=r"^((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:]*)$")]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?)$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_listed)]
Hosts = Annotated[tuple[HostName, ...], BeforeValidator(_listed)]
Folder = Annotated[Path, AfterValidator(Path.expanduser), AfterValidator(Path.absolute)]
File = Annotated[Path, AfterValidator(Path.expanduser), AfterValidator(Path.absolute)]


class SettingsError(ValueError):
    """A `SAM3D_*` variable has a value that cannot be used."""


class Settings(BaseModel):
    """Units are in the names. `Settings.from_environ()` reads `SAM3D_<NAME IN CAPITALS>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Annotated[
        Literal["auto"] | EngineName,
        Field(description="`auto`: SAM 3D when CUDA and all weights are there, else preview, said loudly"),
    ] = "auto"
    checkpoint_dir: Annotated[Folder, Field(description="Where SAM 3D's `pipeline.yaml` and weights lie")] = Field(
        default_factory=lambda: (_cache_dir() / "checkpoints").expanduser().absolute()
    )
    memory_profile: Annotated[
        Literal["auto", "24gb", "16gb", "12gb"],
        Field(description="What SAM 3D keeps on the GPU; `auto` chooses by the GPU's memory"),
    ] = "auto"
    mask_model: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="The rembg model that finds the object")
    ] = "u2netp"
    mask_dir: Annotated[Folder, Field(description="Where the mask model's file lies")] = Field(
        default_factory=lambda: (_cache_dir() / "mask").expanduser().absolute()
    )
    output_dir: Annotated[Folder, Field(description="Every GLB is stored here until it expires")] = Field(
        default_factory=lambda: (_cache_dir() / "outputs").expanduser().absolute()
    )
    output_ttl_seconds: Annotated[Seconds, Field(description="How long a download link works")] = 3600
    output_max_bytes: Annotated[Count, Field(description="The oldest results are removed above this many bytes")] = (
        5_000_000_000
    )
    output_url: Annotated[
        str | None,
        Field(
            pattern=r"^(s3|gs|az)://[^\s/@?#]+(/[^\s?#]*)?$",
            description="Results go to this bucket and folder, `s3://bucket/folder`, instead of `SAM3D_OUTPUT_DIR`",
        ),
    ] = None
    output_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
            description="Address of an S3 store other than Amazon's; clients must reach it too",
        ),
        AfterValidator(_with_s3),
    ] = None
    output_region: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9-]+$", description="Region of the bucket; absent: `AWS_REGION`, else us-east-1"),
        AfterValidator(_with_s3),
    ] = None
    output_credentials_file: Annotated[
        File | None,
        Field(
            description="Keys of the bucket, in AWS's credentials format; absent: the identity of the machine or pod"
        ),
        AfterValidator(_with_s3),
    ] = None
    keep_reconstructions: Annotated[
        bool, Field(description="Keep each dense mesh beside its GLB, so that it can be exported again")
    ] = True
    work_dir: Annotated[Folder, Field(description="Short-lived files; swept at start and while running")] = Path(
        "/tmp/sam3d-bento"  # noqa: S108  # every process works in a locked 0700 folder of its own below it
    )
    max_upload_bytes: Annotated[Count, Field(description="Largest request body")] = 20_000_000
    upload_budget_bytes: Annotated[
        Count | None,
        Field(
            description="Request bodies that are read or wait may have so many bytes together, more is refused with"
            " 429; absent: as many as fill both queues with the largest"
        ),
    ] = None
    max_requests: Annotated[
        Count, Field(description="Requests that may be open at once; one more is refused with 429")
    ] = 500
    max_event_streams: Annotated[Count, Field(description="Event streams of jobs that may be open at once")] = 200
    max_pixels: Annotated[Count, Field(le=PILLOW_MAX_PIXELS, description="Largest image, width × height")] = 64_000_000
    queue_limit: Annotated[Count, Field(description="Jobs that may wait; one more is refused with 429")] = 8
    deadline_seconds: Annotated[Seconds, Field(description="A run that takes longer is stopped")] = 120
    helper_idle_seconds: Annotated[
        Seconds, Field(description="The processes for masks and exports end when nobody has used them for so long")
    ] = 600
    api_keys_file: Annotated[
        File | None, Field(description="Keys of the API, one a line; absent: everybody may use it")
    ] = None
    metrics_need_key: Annotated[
        bool, Field(description="Whether `/metrics` needs a key as well"), AfterValidator(_with_keys)
    ] = False
    cors_origins: Annotated[
        Origins,
        Field(description="Sites whose pages may use the API, `https://app.example.com`, comma-separated; `*`: all"),
    ] = ()
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/]+(/[^\s]*)?$", description="Base of download links; absent: the request's Host"
        ),
    ] = None
    allowed_hosts: Annotated[
        Hosts,
        Field(
            description="Hosts that URLs in serverless jobs may name, comma-separated; `*.example.com`: all below it"
        ),
    ] = ()
    log_format: Annotated[Literal["console", "json"], Field(description="One JSON object a line, or text")] = "console"

    @property
    def upload_room_bytes(self) -> int:
        """Return the bytes of `upload_budget_bytes`, where absent those of two full queues and of two bodies more."""
        return self.upload_budget_bytes or 2 * (self.queue_limit + 2) * self.max_upload_bytes

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. An empty value counts as absent. Raises SettingsError naming every bad variable."""
        environ = os.environ if environ is None else environ
        given = {
            name: environ[PREFIX + name.upper()] for name in cls.model_fields if environ.get(PREFIX + name.upper())
        }
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            faults = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in exc.errors())
            raise SettingsError(faults) from exc

    @classmethod
    def unknown_names(cls, environ: Mapping[str, str] | None = None) -> list[str]:
        """`SAM3D_*` variables that name no setting: most likely a typing mistake."""
        environ = os.environ if environ is None else environ
        known = {CLIENT_KEY_FILE} | {PREFIX + name.upper() for name in cls.model_fields}
        return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
