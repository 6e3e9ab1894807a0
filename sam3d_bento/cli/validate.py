"""Check that a service keeps its promises on its machine and with its weights: the command `sam3d-bento validate`.

It sends real HTTP requests, one after the other, and opens each GLB with trimesh. The seconds are those of a client,
from sending the photo to receiving the whole GLB.
"""

from __future__ import annotations

import io
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
import trimesh
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from sam3d_bento.cli.doctor import sample_photo
from sam3d_bento.cli.local_service import OwnService

# Width of the photo.
PHOTO_PIXELS = 1024
# Promised time of a request at the 95th percentile.
MAX_SECONDS = 120.0
# Longest wait for the service to be ready: 13 GB of weights at 15 MB/s.
READY_SECONDS = 900.0
# Timeout of a request.
REQUEST_SECONDS = 600.0
# Pause between two readings of the GPU's memory.
POLL_SECONDS = 0.25
# Bytes of a gigabyte, as in the names of the memory profiles.
GIGABYTE = 10**9


class Verdict(StrEnum):
    """Verdict on one promise."""

    PASS = "PASS"  # noqa: S105  # no password
    FAIL = "FAIL"
    NOT_MEASURED = "NOT MEASURED"


@dataclass(frozen=True)
class Line:
    """Line of the report: a promise and its verdict. said: the finding as text."""

    promise: str
    verdict: Verdict
    said: str


@dataclass
class Run:
    """Outcome of one request: HTTP status (0: no answer), seconds, and content of the GLB."""

    status: int
    seconds: float
    asset: str | None = None
    faces: int = 0
    textures: int = 0
    fault: str = ""


def photo() -> bytes:
    """Return the photo to send: the sample, 1024 px wide, as PNG."""
    with Image.open(io.BytesIO(sample_photo())) as sample:
        height = round(sample.height * PHOTO_PIXELS / sample.width)
        file = io.BytesIO()
        sample.resize((PHOTO_PIXELS, height), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def validate(
    url: str,
    requests: int,
    *,
    key: SecretStr | None = None,
    own: OwnService | None = None,
    on_message: Callable[[str], None],
) -> Iterator[Line]:
    """Yield each line of the report as soon as it is known. If the service does not become ready, yield only that line.

    key: the API key. own: the service at `url`, if it was started for this check.
    on_message: called with a sentence on each request.
    """
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    with httpx.Client(base_url=url, timeout=REQUEST_SECONDS, headers=headers) as http:
        health, said = _wait_until_ready(http, own)
        yield Line("ready", Verdict.PASS if health else Verdict.FAIL, said)
        if not health:
            return
        before = _metrics(http)
        with _watched_card(http) as card:
            picture = photo()
            runs = [_request(http, picture, seed, on_message) for seed in range(1, requests + 1)]
        yield _all(runs, "answered", lambda run: run.status == 200, f"200 to a photo of {PHOTO_PIXELS} px")
        yield _all(runs, "mesh", lambda run: run.faces > 0, "a mesh, by trimesh")
        yield _all(runs, "texture", lambda run: run.textures > 0, "a texture, by trimesh")
        yield _seconds(runs)
        yield _gpu(health, card, _metrics(http))
        yield _leftovers(http, runs, before, own)


def percentile(values: list[float], share: float) -> float:
    """Return a percentile by nearest rank: the smallest value with at least `share` (0..1) of all values up to it."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _wait_until_ready(http: httpx.Client, own: OwnService | None) -> tuple[dict[str, Any] | None, str]:
    """Wait until the service is ready. Return the report of /health (None if it does not become ready) and a sentence.

    A remote service must already be running: if it does not answer the first request, the wait ends.
    """
    started = time.monotonic()
    pause = threading.Event()
    while True:
        reason = "it does not answer"
        if own is not None and not own.running:
            return None, f"the service exited: {own.last_lines()}"
        try:
            answer = http.get("/health")
            report = answer.json()
            if answer.status_code == 200:
                waited = time.monotonic() - started
                return report, f"{report['engine']} ({report['engine_version']}) on {report['device']}, {waited:.1f} s"
            reason = str(report["reason"])
            if report["status"] == "failed":
                return None, reason
        except (httpx.HTTPError, ValueError, KeyError) as exc:
            if own is None:
                return None, f"the service cannot be reached ({type(exc).__name__})"
        if time.monotonic() - started > READY_SECONDS:
            return None, reason
        pause.wait(0.2)


def _request(http: httpx.Client, picture: bytes, seed: int, on_message: Callable[[str], None]) -> Run:
    started = time.monotonic()
    try:
        answer = http.post("/api/inference", files={"image": ("photo.png", picture, "image/png")}, data={"seed": seed})
    except httpx.HTTPError as exc:
        run = Run(0, time.monotonic() - started, fault=type(exc).__name__)
    else:
        run = Run(answer.status_code, time.monotonic() - started, answer.headers.get("X-Asset-Id"))
        if answer.status_code == 200:
            _open(answer.content, run)
        else:
            run.fault = _detail(answer)
    on_message(
        f"{seed}: {run.status}, {run.seconds:.1f} s, {run.faces} faces, {run.textures} textures {run.fault}".rstrip()
    )
    return run


def _open(glb: bytes, run: Run) -> None:
    try:
        scene = trimesh.load_scene(io.BytesIO(glb), file_type="glb")
    except Exception as exc:  # noqa: BLE001  # any exception of trimesh means that the file is broken
        run.fault = f"trimesh cannot read it ({type(exc).__name__})"
        return
    for mesh in scene.geometry.values():
        run.faces += len(getattr(mesh, "faces", ()))
        material = getattr(getattr(mesh, "visual", None), "material", None)
        run.textures += getattr(material, "baseColorTexture", None) is not None


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "no problem document"


def _all(runs: list[Run], promise: str, holds: Callable[[Run], bool], what: str) -> Line:
    kept = sum(map(holds, runs))
    first = next((f"; first: {run.fault}" for run in runs if not holds(run) and run.fault), "")
    return Line(promise, Verdict.PASS if kept == len(runs) else Verdict.FAIL, f"{kept} of {len(runs)}: {what}{first}")


def _seconds(runs: list[Run]) -> Line:
    spent = [run.seconds for run in runs if run.status == 200]
    if not spent:
        return Line("seconds", Verdict.FAIL, "no request was answered")
    p95 = percentile(spent, 0.95)
    said = f"p95 {p95:.1f} s (at most {MAX_SECONDS:g}); median {percentile(spent, 0.5):.1f}, worst {max(spent):.1f}"
    return Line("seconds", Verdict.PASS if p95 <= MAX_SECONDS else Verdict.FAIL, said)


@dataclass
class _Card:
    """Peak of the GPU memory in use, over all processes. None: no GPU was found."""

    peak_bytes: int | None = None


@contextmanager
def _watched_card(http: httpx.Client) -> Iterator[_Card]:
    """Poll the GPU's memory from /health while the block runs."""
    card, done = _Card(), threading.Event()

    def look() -> None:
        while not done.wait(POLL_SECONDS):
            try:
                memory = http.get("/health").json().get("gpu_memory")
            except (httpx.HTTPError, ValueError):
                continue  # if the service is gone, the requests report it
            if memory:
                card.peak_bytes = max(card.peak_bytes or 0, memory["used_bytes"])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield card
    finally:
        done.set()
        thread.join()


def _gpu(health: dict[str, Any], card: _Card, metrics: dict[str, float]) -> Line:
    """Compare the peak of the GPU's memory with the size that the memory profile is for.

    Two peaks are compared: that of the card, which was polled, and that of a run, which the engine reports exactly.
    """
    profile = str((health["engine_facts"] or {}).get("memory_profile", ""))
    allocated = metrics.get("sam3d_gpu_memory_peak_bytes")
    peaks = [peak for peak in (card.peak_bytes, allocated) if peak is not None]
    named = re.fullmatch(r"(\d+)gb", profile)
    if not peaks or not named:
        return Line("gpu memory", Verdict.NOT_MEASURED, f"the engine '{health['engine']}' uses no GPU here")
    limit = int(named[1]) * GIGABYTE
    seen = "not measured" if card.peak_bytes is None else f"{card.peak_bytes / GIGABYTE:.2f} GB"
    own = "not reported" if allocated is None else f"{allocated / GIGABYTE:.2f} GB"
    said = f"card {seen}, allocated by a run {own}; the profile {profile} is for {limit / GIGABYTE:g} GB"
    return Line("gpu memory", Verdict.PASS if max(peaks) <= limit else Verdict.FAIL, said)


def _leftovers(http: httpx.Client, runs: list[Run], before: dict[str, float], own: OwnService | None) -> Line:
    """Delete the results, and check that no result is still served, no job is left and no file remains."""
    made = [run.asset for run in runs if run.asset]
    for asset in made:
        http.delete(f"/api/assets/{asset}.glb")
    served = sum(http.head(f"/api/assets/{asset}.glb").status_code != 404 for asset in made)
    after = _metrics(http)
    waiting = after.get("sam3d_queue_waiting", 0) + after.get("sam3d_queue_running", 0)
    files = own.files() if own else []
    held = after.get("sam3d_assets", 0) - before.get("sam3d_assets", 0)
    said = f"after deleting {len(made)} results: {served} still served, {waiting:g} jobs left"
    said += f", {len(files)} files left" if own else f", {held:+g} results held (others may use the service)"
    return Line("leftovers", Verdict.FAIL if served or waiting or files else Verdict.PASS, said)


def _metrics(http: httpx.Client) -> dict[str, float]:
    """Return the metrics without labels by name; empty if /metrics cannot be read."""
    try:
        answer = http.get("/metrics")
    except httpx.HTTPError:
        return {}
    if answer.status_code != 200:
        return {}
    families = text_string_to_metric_families(answer.text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
