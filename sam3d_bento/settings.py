"""Settings of this process, typed and frozen, read from `SAM3D_*` environment variables."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

# Beginning of the names of all variables that are settings.
PREFIX = "SAM3D_"
# Variable that is no setting of the service: it names the file of the key that `generate --server` sends.
CLIENT_KEY_FILE = "SAM3D_API_KEY_FILE"
# Variable in which `sam3d-bento serve` tells the service its address. It is no setting, so it does not begin as one.
ADDRESS_VARIABLE = "_SAM3D_ADDRESS"
# How alike a misspelt name and that of a setting are, from 0 to 1 as difflib counts. A wrong, missing, added or swapped
# letter gives 0.9 and more; names of other things that begin with SAM3D_ give up to 0.75.
_LIKENESS = 0.85

# Pixels of the largest image that Pillow opens. Pillow's limit stays as it is, because it is global, and because it
# also limits the memory that decoders allocate while they open a file.
PILLOW_MAX_PIXELS = 178_956_970


def _whole(value: Any) -> Any:
    """Convert `5e9` and `20_000_000`, as people write sizes, to whole numbers."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else value
    return value


def _listed(value: Any) -> Any:
    """Split `a.example.com, b.example.com` into a tuple of names."""
    return tuple(name.strip().lower() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _with_s3(value: Any, info: ValidationInfo) -> Any:
    """Raise ValueError for a setting that would have no effect, because `output_url` is not an `s3://` address."""
    url = info.data.get("output_url", "s3://")  # absent when its value is invalid
    if value is not None and not (url or "").startswith("s3://"):
        raise ValueError("it goes with a SAM3D_OUTPUT_URL that begins with s3://")
    return value


def _with_keys(value: Any, info: ValidationInfo) -> Any:
    """Raise ValueError for a setting that would have no effect, because without keys every route is open."""
    if value and info.data.get("api_keys_file", "refused itself") is None:
        raise ValueError("it goes with SAM3D_API_KEYS_FILE")
    return value


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sam3d-bento"


# Most objects that `SAM3D_MAX_OBJECTS` allows: each may be a file of a form.
MOST_OBJECTS = 100

Count = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EngineName = Literal["sam3d", "preview"]  # `engines.ENGINES` describes each of them
HostName = Annotated[str, Field(pattern=r"^((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:]*)$")]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?)$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_listed)]
Hosts = Annotated[tuple[HostName, ...], BeforeValidator(_listed)]
Folder = Annotated[Path, AfterValidator(Path.expanduser), AfterValidator(Path.absolute)]
File = Annotated[Path, AfterValidator(Path.expanduser), AfterValidator(Path.absolute)]


class SettingsError(ValueError):
    """Value of a `SAM3D_*` variable that cannot be used."""


class Settings(BaseModel):
    """Settings of this process. The names contain the units. `from_environ` reads `SAM3D_<NAME IN CAPITALS>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Annotated[
        Literal["auto"] | EngineName,
        Field(
            description="`auto`: SAM 3D if CUDA and all weights are there, otherwise preview, with a warning in the log"
        ),
    ] = "auto"
    checkpoint_dir: Annotated[Folder, Field(description="Folder of SAM 3D's `pipeline.yaml` and weights")] = Field(
        default_factory=lambda: (_cache_dir() / "checkpoints").expanduser().absolute()
    )
    memory_profile: Annotated[
        Literal["auto", "32gb", "24gb", "16gb", "12gb"],
        Field(description="Which parts of SAM 3D stay on the GPU; `auto` chooses by the GPU's memory"),
    ] = "auto"
    kernels: Annotated[
        Literal["auto", "off"],
        Field(description="`auto`: SAM 3D computes with Triton kernels where they work, and `/health` says if not"),
    ] = "auto"
    mask_model: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="rembg model that finds the object")
    ] = "u2netp"
    mask_dir: Annotated[Folder, Field(description="Folder of the mask model's file")] = Field(
        default_factory=lambda: (_cache_dir() / "mask").expanduser().absolute()
    )
    size_dir: Annotated[
        Folder, Field(description="Folder of the size model's file; without it, no size is estimated")
    ] = Field(default_factory=lambda: (_cache_dir() / "size").expanduser().absolute())
    prompt_model: Annotated[
        Literal["auto", "crop", "mobile_sam"],
        Field(
            description="Model that understands clicks and boxes; `crop`: the mask model, on crops; `auto`: MobileSAM "
            "if the weights `prompts` are there"
        ),
    ] = "auto"
    prompt_dir: Annotated[Folder, Field(description="Folder of MobileSAM's files")] = Field(
        default_factory=lambda: (_cache_dir() / "prompts").expanduser().absolute()
    )
    prompt_memory_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            allow_inf_nan=False,
            description="How long the mask process remembers what it computed of each of the last four photos that "
            "were pointed at, in memory only; 0: not at all",
        ),
    ] = 300
    output_dir: Annotated[Folder, Field(description="Folder in which results are stored until they expire")] = Field(
        default_factory=lambda: (_cache_dir() / "outputs").expanduser().absolute()
    )
    output_ttl_seconds: Annotated[Seconds, Field(description="How long a result and its download link are kept")] = 3600
    output_max_bytes: Annotated[Count, Field(description="Quota of all results; above it, the oldest are removed")] = (
        5_000_000_000
    )
    keep_max_bytes: Annotated[
        Count | None,
        Field(
            description="Quota of the results that clients keep, beside `SAM3D_OUTPUT_MAX_BYTES`; these do not expire. "
            "If absent, no result can be kept"
        ),
    ] = None
    output_url: Annotated[
        str | None,
        Field(
            pattern=r"^(s3|gs|az)://[^\s/@?#]+(/[^\s?#]*)?$",
            description="Bucket and folder for results, `s3://bucket/folder`, instead of `SAM3D_OUTPUT_DIR`",
        ),
    ] = None
    output_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
            description="Address of an S3 store other than Amazon's; clients must be able to reach it",
        ),
        AfterValidator(_with_s3),
    ] = None
    output_region: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9-]+$", description="Region of the bucket; if absent, `AWS_REGION` or else us-east-1"),
        AfterValidator(_with_s3),
    ] = None
    output_credentials_file: Annotated[
        File | None,
        Field(
            description="File with the bucket's keys, in AWS's credentials format; if absent, the identity of "
            "the machine or pod is used"
        ),
        AfterValidator(_with_s3),
    ] = None
    keep_reconstructions: Annotated[
        bool, Field(description="Whether to store each dense mesh beside its GLB, so that it can be exported again")
    ] = True
    # The path contains the user's number, so that the users of one machine do not share a folder.
    work_dir: Annotated[
        Folder, Field(description="Folder for short-lived files; cleaned at start and while running")
    ] = Field(
        default_factory=lambda: Path(f"/tmp/sam3d-bento-{os.getuid()}")  # noqa: S108  # `WorkDir.claim` checks its owner
    )
    max_upload_bytes: Annotated[Count, Field(description="Largest request body")] = 20_000_000
    upload_budget_bytes: Annotated[
        Count | None,
        Field(
            description="Most bytes of all uploads that are being read or wait; further uploads are refused with "
            "429; if absent, both queues may hold uploads of the largest size"
        ),
    ] = None
    max_requests: Annotated[
        Count, Field(description="Requests that may be open at once; further ones are refused with 429")
    ] = 500
    max_event_streams: Annotated[Count, Field(description="Event streams of jobs that may be open at once")] = 200
    max_pixels: Annotated[
        Count, Field(le=PILLOW_MAX_PIXELS, description="Largest image, in pixels (width × height)")
    ] = 64_000_000
    queue_limit: Annotated[Count, Field(description="Jobs that may wait; further ones are refused with 429")] = 8
    deadline_seconds: Annotated[
        Seconds, Field(description="Longest run; a longer one is stopped. In a scene, it holds for each object")
    ] = 120
    max_objects: Annotated[Count, Field(le=MOST_OBJECTS, description="Objects that a scene may have")] = 16
    load_silence_seconds: Annotated[
        Seconds,
        Field(
            description="Longest silence of a load, after which it is started again; the whole load may take six "
            "times as long"
        ),
    ] = 300
    shutdown_seconds: Annotated[
        Seconds | None,
        Field(
            description="How long open requests may still run after SIGTERM; if absent, a full queue may end, "
            "each run at its deadline"
        ),
    ] = None
    helper_idle_seconds: Annotated[
        Seconds, Field(description="Idle time after which the processes for masks and exports end")
    ] = 600
    api_keys_file: Annotated[
        File | None, Field(description="File with the API keys, one per line; if absent, no key is needed")
    ] = None
    metrics_need_key: Annotated[
        bool, Field(description="Whether `/metrics` needs a key too"), AfterValidator(_with_keys)
    ] = False
    cors_origins: Annotated[
        Origins,
        Field(
            description="Origins whose pages may use the API, such as `https://app.example.com`, "
            "comma-separated; `*`: all"
        ),
    ] = ()
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
            description="Base of download links; if absent, the request's Host is used",
        ),
    ] = None
    allowed_hosts: Annotated[
        Hosts,
        Field(
            description="Hosts that URLs in serverless jobs may use, comma-separated; `*.example.com`: all its "
            "subdomains"
        ),
    ] = ()
    log_format: Annotated[
        Literal["console", "json"], Field(description="`json`: one JSON object per line; `console`: text")
    ] = "console"

    @property
    def full_queue_seconds(self) -> float:
        """How long a full queue takes, and the run before it, when each run takes its deadline."""
        return (self.queue_limit + 1) * self.deadline_seconds

    @property
    def longest_run_seconds(self) -> float:
        """How long a run may take: that of the largest scene, each object of which has its own deadline."""
        return self.max_objects * self.deadline_seconds

    @property
    def queue_seconds(self) -> float:
        """How long a job may wait: a full queue of the longest runs, and one load that falls silent."""
        return (self.queue_limit + 1) * self.longest_run_seconds + self.load_silence_seconds

    @property
    def shutdown_limit_seconds(self) -> float:
        """How long requests are answered after SIGTERM."""
        return self.full_queue_seconds if self.shutdown_seconds is None else self.shutdown_seconds

    @property
    def upload_room_bytes(self) -> int:
        """Return the bytes of `upload_budget_bytes`, where absent those of two full queues and of two bodies more."""
        return self.upload_budget_bytes or 2 * (self.queue_limit + 2) * self.max_upload_bytes

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment. An empty value counts as absent.

        Raises SettingsError that names every variable with a bad value.
        """
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
        """Return the `SAM3D_*` variables that name no setting, most likely because of a typing mistake."""
        environ = os.environ if environ is None else environ
        return sorted(name for name in environ if name.startswith(PREFIX) and name not in cls._known_names())

    @classmethod
    def suggestion(cls, name: str) -> str | None:
        """Return the variable that was most likely meant by an unknown one; None if no name is like it.

        It is one whose end was left out (a unit, say), else one that is spelt alike.
        """
        known = cls._known_names()
        longer = [other for other in known if other.startswith(f"{name.rstrip('_')}_")]
        alike = difflib.get_close_matches(name, known, n=1, cutoff=_LIKENESS)
        return next(iter(longer if len(longer) == 1 else alike), None)

    @classmethod
    def _known_names(cls) -> list[str]:
        return [CLIENT_KEY_FILE, *(PREFIX + name.upper() for name in cls.model_fields)]
