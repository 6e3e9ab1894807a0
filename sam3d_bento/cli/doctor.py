"""`sam3d-bento doctor`: what a report of a fault needs, and what would keep the service from working.

Nothing secret is in it: files of keys are counted, not shown; an address loses its user name, password and query; of a
variable that this program does not know, only the name is told.
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

SAMPLE = ("serving", "web", "sample", "coffee.jpg")  # the studio's, so that it is in every installation
SHOWN = 5  # of a list, to people
WIDTH = 32
QUICK = Options(seed=1, target_faces=1000, texture_size=512)

# Of environment variables, in which a credential is seen by every program that is started; a file's name is none.
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)(?!.*_FILE$)")
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"\?\S*")


def sample_photo() -> bytes:
    """The photo of the self-test, a JPEG file."""
    return resources.files("sam3d_bento").joinpath(*SAMPLE).read_bytes()


def examine(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole report, JSON values. `faults`: sentences on what would stop the service; empty when it would run.

    environ: the process's own when None. Writes a file, or an object, where results go, and removes it.
    """
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    report: dict[str, Any] = {"versions": machine.versions(), "system": machine.system(), "gpu": gpu.description()}
    report["unknown_variables"] = Settings.unknown_names(environ)
    report["credentials_in_environment"] = sorted(filter(_SECRET_NAME.search, environ))
    try:
        settings = Settings.from_environ(environ)
    except SettingsError as exc:
        return report | {"faults": [str(exc)]}
    report["settings"] = _shown(settings)
    report["folders"] = _folders(settings, faults)
    report["api_keys"] = _keys(settings, faults)
    report["weights"] = [_weights(name, settings, faults) for name in sets.in_use(settings)]
    report["engine"] = _engine(settings, faults)
    report["self_test"] = self_test(settings, faults)
    return report | {"faults": faults}


def self_test(settings: Settings, faults: list[str]) -> dict[str, Any]:
    """Run the sample photo through the whole pipeline, with the engine that needs nothing, and check its GLB."""
    import trimesh

    from sam3d_bento.engines import FALLBACK
    from sam3d_bento.pipeline import Pipeline

    started = time.monotonic()
    try:
        pipeline = Pipeline.load(settings.model_copy(update={"engine": FALLBACK}))
        asset = pipeline.run(Submission(sample_photo(), None, QUICK), lambda stage, fraction: None)
        mesh = trimesh.load_mesh(io.BytesIO(asset.glb), file_type="glb")
        found = {"faces": len(mesh.faces), "texture_size": mesh.visual.material.baseColorTexture.size[0]}
    except Sam3DError as exc:
        faults.append(f"The self-test failed: {exc.detail}")
        return {"passed": False, "reason": exc.detail}
    except Exception as exc:  # noqa: BLE001  # whatever breaks here would break in the service: it is the finding
        faults.append(f"The self-test failed ({type(exc).__name__}).")
        return {"passed": False, "reason": type(exc).__name__}
    return {"passed": True, **found, "seconds": round(time.monotonic() - started, 2)}


def masked(text: str) -> str:
    """The text without what an address may carry of secrets: user name, password, query."""
    return _QUERY.sub("?***", _CREDENTIALS_IN_URL.sub("***@", text)) if "://" in text else text


def text(report: Mapping[str, Any]) -> str:
    """The report as people read it."""
    lines = []
    for name, value in report.items():
        if name != "faults":
            lines += _lines(name.replace("_", " "), value, 0)
    lines += ["", *([f"FAULT  {fault}" for fault in report["faults"]] or ["No fault was found."])]
    return "\n".join(lines)


def _lines(name: str, value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return [f"{pad}{name}", *(line for key, inner in value.items() for line in _lines(key, inner, depth + 1))]
    if isinstance(value, list) and value:
        more = [f"{pad}  … and {len(value) - SHOWN} more; --json has all"] if len(value) > SHOWN else []
        return [f"{pad}{name}", *(line for inner in value[:SHOWN] for line in _lines("-", inner, depth + 1)), *more]
    if isinstance(value, int) and name.endswith("_bytes"):
        value = f"{value / 1e9:,.3f} GB"
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return [f"{pad}{name:<{WIDTH - len(pad)}} {'none' if value in (None, '', [], {}) else value}"]


def _shown(settings: Settings) -> dict[str, str]:
    """Every setting as it would be written into the environment, nothing secret in it."""
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
        faults.append("The folder named by SAM3D_WORK_DIR cannot be written.")
    elif settings.work_dir.exists() and (fault := distrust(settings.work_dir)):
        faults.append(f"The folder named by SAM3D_WORK_DIR cannot be used ({fault}).")
    assets = choose_assets(settings)
    try:
        assets.claim()
    except OSError as exc:
        faults.append(f"The folder named by {assets.setting} cannot be used ({exc.strerror}).")
    except Sam3DError as exc:
        faults.append(f"The object store named by {assets.setting} cannot be used: {exc.detail}")
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
    """By sizes, as the service looks at them. Weights that `SAM3D_ENGINE=auto` can do without are no fault."""
    folder = sets.SETS[name].folder(settings)
    found: dict[str, Any] = {"set": name, "folder": str(folder)}
    try:
        wrong = weights.verify(name, folder, contents=False, optional=False)
        listed = sets.find(name, folder).files
    except (WeightsError, OSError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else str(exc)
        faults.append(f"The weights '{name}' cannot be looked at: {said}")
        return found | {"complete": False, "reason": said}
    found |= {"complete": not wrong, "files": len(listed), "total_bytes": sum(file.size for file in listed)}
    if wrong and not sets.SETS[name].optional(settings):
        faults.append(f"The weights '{name}' are not complete: `sam3d-bento weights fetch --set {name}` brings them.")
    return found | {"wrong": [fault.sentence for fault in wrong]}


def _engine(settings: Settings, faults: list[str]) -> dict[str, Any]:
    """Which engine the settings come to on this machine."""
    from sam3d_bento import engines

    name, reasons = engines.find(settings)
    if not reasons and (reason := engines.ENGINES[name].why_not(settings)) is not None:
        faults.append(f"The engine '{name}' cannot be used: {reason}")
        reasons = {name: reason}
    return {"chosen": name, **{f"{lacking}_lacks": reason for lacking, reason in reasons.items()}}
