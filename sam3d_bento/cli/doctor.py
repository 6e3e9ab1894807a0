"""Collect what a bug report needs, and what would stop the service: the command `sam3d-bento doctor`.

The report contains no secret. It gives the number of keys in a file and not the keys. An address has no user name,
password or query. For a variable that this program does not know, it gives only the name.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

from sam3d_bento import api_key, gpu, weights
from sam3d_bento.cli import machine
from sam3d_bento.errors import Sam3DError
from sam3d_bento.options import Options
from sam3d_bento.serving.backend import choose_assets
from sam3d_bento.serving.worker.workdir import distrust
from sam3d_bento.settings import PREFIX, Settings, SettingsError
from sam3d_bento.submission import Submission
from sam3d_bento.weights import sets
from sam3d_bento.weights.part import WeightsError

# Path of the self-test's photo inside the package. It is one of the studio's samples, so every installation has it.
SAMPLE = ("serving", "web", "samples", "mug.jpg")
# Entries of a list that the text report shows, so that it fits on a screen. The JSON report has all of them.
MAX_LISTED = 5
# Width of the text report's column of names, in characters.
NAME_COLUMNS = 32
# Parts of the report that the verdict contains.
VERDICT = ("faults", "advice", "unknown_variables", "did_you_mean")
# The mask model that finds thin parts best. It sees a photo at 1024 pixels, the default one at 320.
BEST_MASK_MODEL = "isnet-general-use"
# Options of the self-test: the smallest mesh and texture, for speed.
SELF_TEST_OPTIONS = Options(seed=1, target_faces=1000, texture_size=512)

# Names of environment variables that hold a credential, which every child process can read. A variable that names a
# file of keys holds no credential.
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)(?!.*_FILE$)")
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"\?\S*")


def sample_photo() -> bytes:
    """Return the self-test's photo, a JPEG file."""
    return resources.files("sam3d_bento").joinpath(*SAMPLE).read_bytes()


def examine(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole report as JSON values.

    Its `faults` are the sentences on what would stop the service, its `advice` those on what would better its results.

    environ: None for the environment of this process. Writes a file or an object to the result store and removes it
    again, to check that the store works.
    """
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    report: dict[str, Any] = {"versions": machine.versions(), "system": machine.system(), "gpu": gpu.description()}
    report["unknown_variables"] = Settings.unknown_names(environ)
    report["did_you_mean"] = {
        name: meant for name in report["unknown_variables"] if (meant := Settings.suggestion(name)) is not None
    }
    report["credentials_in_environment"] = sorted(filter(_SECRET_NAME.search, environ))
    try:
        settings = Settings.from_environ(environ)
    except SettingsError as exc:
        return report | {"faults": [str(exc)], "advice": []}
    report["settings"] = _shown(settings)
    report["folders"] = _folders(settings, faults)
    report["api_keys"] = _keys(settings, faults)
    report["weights"] = [_weights(name, settings, faults) for name in (*sets.in_use(settings), *sets.extras())]
    report["engine"] = _engine(settings, faults)
    report["self_test"] = self_test(settings, faults)
    return report | {"faults": faults, "advice": _advice(settings)}


def self_test(settings: Settings, faults: list[str]) -> dict[str, Any]:
    """Run the sample photo through the whole pipeline with the preview engine, and read its GLB with trimesh."""
    import trimesh

    from sam3d_bento.engines import FALLBACK
    from sam3d_bento.pipeline import Pipeline

    started = time.monotonic()
    try:
        pipeline = Pipeline.load(settings.model_copy(update={"engine": FALLBACK}))
        asset = pipeline.run(Submission(sample_photo(), None, SELF_TEST_OPTIONS), lambda stage, fraction: None)
        mesh = trimesh.load_mesh(io.BytesIO(asset.glb), file_type="glb")
        found = {"faces": len(mesh.faces), "texture_size": mesh.visual.material.baseColorTexture.size[0]}
    except Sam3DError as exc:
        faults.append(f"The self-test failed: {exc.detail}")
        return {"passed": False, "reason": exc.detail}
    except Exception as exc:  # noqa: BLE001  # an exception here would occur in the service too, so it is a finding
        faults.append(f"The self-test failed ({type(exc).__name__}).")
        return {"passed": False, "reason": type(exc).__name__}
    return {"passed": True, **found, "seconds": round(time.monotonic() - started, 2)}


def masked(text: str) -> str:
    """Replace user name, password and query of the addresses in a text by asterisks."""
    return _QUERY.sub("?***", _CREDENTIALS_IN_URL.sub("***@", text)) if "://" in text else text


def text(report: Mapping[str, Any]) -> str:
    """Format the report as text for people: the verdict first, then what is known."""
    lines = [*verdict(report), ""]
    for name, value in report.items():
        if name not in VERDICT:
            lines += _lines(name.replace("_", " "), value, 0)
    return "\n".join(lines)


def verdict(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each fault, or one that says there is none, and for each advice and ineffective variable."""
    lines = [f"FAULT    {fault}" for fault in report["faults"]] or ["No faults found."]
    lines += [f"ADVICE   {advice}" for advice in report["advice"]]
    for name in report["unknown_variables"]:
        meant = report["did_you_mean"].get(name)
        lines.append(f"WARNING  {name} is no setting.{f' Did you mean {meant}?' if meant else ''}")
    return lines


def _lines(name: str, value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return [f"{pad}{name}", *(line for key, inner in value.items() for line in _lines(key, inner, depth + 1))]
    if isinstance(value, list) and value:
        hidden = len(value) - MAX_LISTED
        more = [f"{pad}  … and {hidden} more; use --json to see all"] if hidden > 0 else []
        listed = (line for inner in value[:MAX_LISTED] for line in _lines("-", inner, depth + 1))
        return [f"{pad}{name}", *listed, *more]
    if isinstance(value, int) and name.endswith("_bytes"):
        value = f"{value / 1e9:,.3f} GB"
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return [f"{pad}{name:<{NAME_COLUMNS - len(pad)}} {'none' if value in (None, '', [], {}) else value}"]


def _shown(settings: Settings) -> dict[str, str]:
    """Return every setting as the value of its environment variable, without secrets."""
    given = settings.model_dump(mode="json")
    return {PREFIX + name.upper(): _written(value) for name, value in given.items()}


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(masked, value))
    return "" if value is None else masked(str(value))


def _folders(settings: Settings, faults: list[str]) -> dict[str, Any]:
    folders = {"SAM3D_WORK_DIR": settings.work_dir, "SAM3D_OUTPUT_DIR": settings.output_dir}
    found = {name: machine.disk(path) for name, path in folders.items()}
    if not found["SAM3D_WORK_DIR"]["writable"]:
        faults.append("The folder in SAM3D_WORK_DIR is not writable. Change its permissions or the setting.")
    elif settings.work_dir.exists() and (fault := distrust(settings.work_dir)):
        faults.append(f"The folder in SAM3D_WORK_DIR cannot be used ({fault}).")
    assets = choose_assets(settings)
    try:
        assets.claim()
    except OSError as exc:
        faults.append(f"The folder in {assets.setting} cannot be used ({exc.strerror}).")
    except Sam3DError as exc:
        faults.append(f"The object store in {assets.setting} cannot be used: {exc.detail}")
    return found


def _keys(settings: Settings, faults: list[str]) -> dict[str, Any]:
    if settings.api_keys_file is None:
        return {"count": None}
    try:
        return {"count": len(api_key.read_all(settings.api_keys_file))}
    except SettingsError as exc:
        faults.append(f"SAM3D_API_KEYS_FILE: {exc}")
        return {"count": None, "reason": str(exc)}


def _weights(name: str, settings: Settings, faults: list[str]) -> dict[str, Any]:
    """Check the sizes of a set's weight files, as the service does.

    Missing weights are no fault if `SAM3D_ENGINE=auto` can use another engine.
    """
    folder = sets.SETS[name].folder(settings)
    found: dict[str, Any] = {"set": name, "folder": str(folder)}
    try:
        wrong = weights.verify(name, folder, contents=False, optional=False)
        listed = sets.find(name, folder).files
    except (WeightsError, OSError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else str(exc)
        faults.append(f"The weights '{name}' cannot be read: {said}")
        return found | {"complete": False, "reason": said}
    found |= {"complete": not wrong, "files": len(listed), "total_bytes": sum(file.size for file in listed)}
    if wrong and not sets.SETS[name].optional(settings):
        faults.append(f"The weights '{name}' are incomplete. Run `sam3d-bento weights fetch --set {name}`.")
    return found | {"wrong": [fault.sentence for fault in wrong]}


def _advice(settings: Settings) -> list[str]:
    """Return a sentence that recommends the best mask model where its file is there and another one is used."""
    if settings.mask_model == BEST_MASK_MODEL or not (settings.mask_dir / f"{BEST_MASK_MODEL}.onnx").is_file():
        return []
    return [f"{BEST_MASK_MODEL}.onnx is there: set SAM3D_MASK_MODEL={BEST_MASK_MODEL} for masks with all thin parts."]


def _engine(settings: Settings, faults: list[str]) -> dict[str, Any]:
    """Return the engine that the settings select on this machine, and why others were not chosen."""
    from sam3d_bento import engines

    name, reasons = engines.find(settings)
    if not reasons and (reason := engines.ENGINES[name].why_not(settings)) is not None:
        faults.append(f"The engine '{name}' cannot be used: {reason}")
        reasons = {name: reason}
    return {"chosen": name, **{f"{lacking}_lacks": reason for lacking, reason in reasons.items()}}
