"""Measure the time to ready, the idle memory and the time of a warm request of the service.

Prints a table and writes benchmarks/results/service.json. The peers in the same run are an empty BentoML service, for
the start, and the pipeline without the service, for a request. They take turns with ours, so that the ratios hold when
the machine's speed drifts.
Usage: python benchmarks/service.py [--runs 5]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import skimage
from PIL import Image

from sam3d_bento.cli import launch
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission

FOLDER = Path(__file__).parents[1]
COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"
LONG_SIDE = 1024
EMPTY_SERVICE = """
import bentoml

@bentoml.service
class Empty:
    @bentoml.api
    def ask(self) -> int:
        return 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    photo = sample_photo()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(photo, runs, folder)
    result = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "photo": f"coffee, {LONG_SIDE} px"}
    result |= {"runs": runs, **figures}
    target = FOLDER / "benchmarks" / "results" / "service.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print_table(figures)


def sample_photo() -> bytes:
    image = Image.open(COFFEE)
    image = image.resize((LONG_SIDE, round(LONG_SIDE * image.height / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def measure(photo: bytes, runs: int, folder: str) -> dict[str, Any]:
    Path(f"{folder}/empty.py").write_text(EMPTY_SERVICE)
    ready, empty = [], []
    for _ in range(3):
        with running_server(folder, "empty:Empty", Path(folder), "/readyz") as (_, _, seconds):
            empty.append(seconds)
        with running_server(folder) as (_, _, seconds):
            ready.append(seconds)
    pipeline = Pipeline.load(Settings.from_environ({"SAM3D_ENGINE": "preview"}))
    submission = Submission(photo, options=Options(seed=1))
    requests, bare, stages = [], [], []
    with running_server(folder) as (server, client, _):
        idle = memory(server.pid)
        for number in range(runs + 1):
            started = time.perf_counter()
            headers = post(client, photo)
            between = time.perf_counter()
            pipeline.run(submission, lambda stage, fraction: None)
            ended = time.perf_counter()
            if number:  # the first of each is the warm-up
                requests.append(between - started)
                bare.append(ended - between)
                stages.append(server_timing(headers))
    median = {name: round(statistics.median(stage[name] for stage in stages), 3) for name in stages[0]}
    return {
        "seconds_to_ready": [round(value, 2) for value in ready],
        "seconds_to_ready_of_an_empty_service": [round(value, 2) for value in empty],
        "ready_over_empty": round(statistics.median(a / b for a, b in zip(ready, empty, strict=True)), 3),
        "idle_bytes": idle,
        "request_seconds": [round(value, 2) for value in requests],
        "bare_pipeline_seconds": [round(value, 2) for value in bare],
        "request_over_bare": round(statistics.median(a / b for a, b in zip(requests, bare, strict=True)), 3),
        "median_stage_seconds": median,
    }


@contextmanager
def running_server(
    folder: str, service: str = launch.SERVICE, cwd: Path = FOLDER, probe_path: str = "/health"
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client, float]]:
    """A ready server, a client of it, and the seconds from its start until it was ready."""
    port = launch.free_port()
    started = time.perf_counter()
    server = launch.start(port, cwd, Path(folder), {"engine": "preview"}, service)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            wait_until_ready(client, probe_path)
            yield server, client, time.perf_counter() - started
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def wait_until_ready(client: httpx.Client, probe_path: str) -> None:
    while True:
        try:
            if client.get(probe_path).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)


def post(client: httpx.Client, photo: bytes) -> httpx.Headers:
    answer = client.post("/api/inference", content=photo, params={"seed": "1"}, headers={"content-type": "image/png"})
    answer.raise_for_status()
    return answer.headers


def server_timing(headers: httpx.Headers) -> dict[str, float]:
    return {name: float(ms) / 1000 for name, ms in re.findall(r"(\w+);dur=([\d.]+)", headers["server-timing"])}


def memory(pid: int) -> int:
    """Proportional set size (proc(5)) of a process and all below it, in bytes."""
    total = 0
    for one in below(pid):
        with suppress(OSError):  # it has ended
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += sum(int(size) * 1024 for size in re.findall(r"^Pss:\s+(\d+)", rollup, re.MULTILINE))
    return total


def below(pid: int) -> list[int]:
    """Return the process and all of its descendants."""
    children: list[int] = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return [pid, *(one for child in children for one in below(child))]


def machine() -> dict[str, Any]:
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    load = round(os.getloadavg()[0], 2)
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": load,
    }


def print_table(figures: dict[str, Any]) -> None:
    rows = [
        ("from start to ready", f"{statistics.median(figures['seconds_to_ready']):.1f} s"),
        (
            "the same of an empty BentoML service",
            f"{statistics.median(figures['seconds_to_ready_of_an_empty_service']):.1f} s",
        ),
        ("ready / empty", f"{figures['ready_over_empty']:.2f}"),
        ("idle memory, all processes", f"{figures['idle_bytes'] / 1e6:.0f} MB"),
        ("warm request", f"{statistics.median(figures['request_seconds']):.1f} s"),
        ("the bare pipeline, in turn", f"{statistics.median(figures['bare_pipeline_seconds']):.1f} s"),
        ("request / bare", f"{figures['request_over_bare']:.2f}"),
        *((f"  {name}", f"{seconds:.2f} s") for name, seconds in figures["median_stage_seconds"].items()),
    ]
    print("| what | median |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows))


if __name__ == "__main__":
    main()
