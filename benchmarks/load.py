"""Measure the service under load: throughput, overhead over the pipeline, response of the probes, and growth.

Seven parts, each written to benchmarks/results/load.json when it is done, so that a run can go on where one was ended:
  load          1, 4, 16 and 64 clients at once, on an engine that takes 50 ms a photo: latency, throughput, refusals
  overhead      what a request takes beyond the stages of the pipeline in it, and beside the bare pipeline, in turn
  health        /health and /metrics while a photo is at work
  soak-tiny     2,000 requests on an engine that takes no time: memory, descriptors, threads, files
  soak-preview  200 requests on the preview engine: the same
  floods        /livez under each flood (`floods.py`)
  memory        the memory of all processes together under the largest loads (`floods.py`)
Usage: python benchmarks/load.py [--only PART]... [--scale 1.0]
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import floods
import httpx
import numpy as np
from PIL import Image

from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from service import FOLDER, below, machine, running_server, sample_photo, server_timing

TARGET = FOLDER / "benchmarks" / "results" / "load.json"
CLIENTS = (1, 4, 16, 64)
LEVEL_SECONDS = 15
OUTPUT_BYTES = 20_000_000  # small, so that the soaks reach it and the oldest results go
SMALL = {"seed": "1", "target_faces": "1000", "texture_size": "512"}
TINY_ENGINE = """
import time
from sam3d_bento.submission import Asset, RunnerInfo

class Tiny:
    info = RunnerInfo("tiny", "tiny/1", "cpu", ("PNG",), facts={})

    def __init__(self, settings):
        pass

    def run(self, submission, report, keep=None):
        started = time.perf_counter()
        report("reconstruct", 0.0)
        time.sleep(float(submission.photo))
        report("reconstruct", 1.0)
        seconds = dict.fromkeys(("decode", "mask", "export"), 0.0) | {"reconstruct": time.perf_counter() - started}
        mask = {"source": "alpha", "coverage": 0.5}
        report = {"engine": "tiny", "engine_version": "tiny/1", "seed": 1, "mask": mask, "warnings": []}
        return Asset(b"glTF" + bytes(100_000), report | {"gpu_peak_bytes": None, "seconds": seconds})
"""
TINY_SERVICE = """
import functools
from sam3d_bento import service
from sam3d_bento.serving.backend import Backend

service.Backend = functools.partial(Backend, engine_loader="tiny_engine:Tiny")
Sam3D = service.Sam3D
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests; below 1 for a trial")
    arguments = parser.parse_args()
    os.environ["SAM3D_OUTPUT_MAX_BYTES"] = str(OUTPUT_BYTES)
    for name in arguments.only or PARTS:
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            figures = PARTS[name](folder, arguments.scale)
        print(json.dumps(figures, indent=2), flush=True)
        if arguments.scale >= 1:  # a trial is no result
            results = json.loads(TARGET.read_text()) if TARGET.exists() else {}
            about = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(), "commit": commit()}
            TARGET.write_text(json.dumps(results | {name: {**about, **figures}}, indent=2) + "\n")


def commit() -> str:
    """The commit that was measured, with a + when files have been changed since."""
    git = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    return subprocess.run(git, cwd=FOLDER, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def tiny_server(folder: str) -> Iterator[tuple[int, httpx.Client]]:
    """The process id and a client of a service whose engine sleeps for as many seconds as the photo says."""
    Path(f"{folder}/tiny_engine.py").write_text(TINY_ENGINE)
    Path(f"{folder}/tiny_service.py").write_text(TINY_SERVICE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{FOLDER}"
    try:
        with running_server(folder, "tiny_service:Sam3D", Path(folder)) as (server, client, _):
            yield server.pid, client
    finally:
        os.environ.pop("PYTHONPATH")
        os.environ |= {} if before is None else {"PYTHONPATH": before}


def ask(client: httpx.Client, photo: bytes) -> httpx.Response:
    kind = "image/png" if photo.startswith(b"\x89") else "application/octet-stream"
    return client.post("/api/inference", content=photo, params=SMALL, headers={"content-type": kind})


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the percentiles in milliseconds."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    ordered = sorted(seconds)
    return {name: round(ordered[int(share * (len(ordered) - 1))] * 1000, 1) for name, share in shares.items()}


def load(folder: str, scale: float) -> dict[str, Any]:
    levels = {}
    with tiny_server(folder) as (_, client):
        for clients in CLIENTS:
            levels[str(clients)] = level(str(client.base_url), clients, LEVEL_SECONDS * scale)
            health = client.get("/health").json()
            assert health["losses"] == 0
            assert health["queue"]["waiting"] == 0
    return {"engine_seconds": 0.05, "queue_limit": health["queue"]["limit"], "clients": levels}


def level(url: str, clients: int, seconds: float) -> dict[str, Any]:
    """So many clients, each asking again as soon as it is answered; one that was refused waits a tenth of a second."""
    taken: list[float] = []
    refused: list[float] = []
    others: Counter[int] = Counter()
    depths: list[int] = []
    until = time.monotonic() + seconds
    pause = threading.Event()

    def act() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < until:
                started = time.perf_counter()
                answer = ask(client, b"0.05")
                spent = time.perf_counter() - started
                if answer.status_code == 200:
                    taken.append(spent)
                elif answer.status_code == 429:
                    assert int(answer.headers["retry-after"]) > 0
                    refused.append(spent)
                    pause.wait(0.1)
                else:
                    others[answer.status_code] += 1

    threads = [threading.Thread(target=act) for _ in range(clients)]
    for thread in threads:
        thread.start()
    with httpx.Client(base_url=url, timeout=60) as client:
        while any(thread.is_alive() for thread in threads):
            depths.append(client.get("/health").json()["queue"]["waiting"])
            pause.wait(0.2)
    return {
        "answered": len(taken),
        "per_second": round(len(taken) / seconds, 1),
        "milliseconds": percentiles(taken),
        "refused_429": len(refused),
        "milliseconds_of_a_refusal": percentiles(refused) if refused else None,
        "other_statuses": dict(others),
        "most_waiting": max(depths),
    }


def overhead(folder: str, scale: float) -> dict[str, Any]:
    """The stages are timed in the engine process, so the difference is all that lies around it: HTTP, form, queue,
    pipe, storing."""
    photo = sample_photo()
    pipeline = Pipeline.load(Settings.from_environ({"SAM3D_ENGINE": "preview"}))
    submission = Submission(photo, options=Options(seed=1, target_faces=1000, texture_size=512))
    around, requests, bare = [], [], []
    with running_server(folder) as (_, client, _):
        for number in range(round(15 * scale) + 1):
            started = time.perf_counter()
            answer = ask(client, photo)
            between = time.perf_counter()
            answer.raise_for_status()
            pipeline.run(submission, lambda stage, fraction: None)
            ended = time.perf_counter()
            if number:  # the first of each is the warm-up
                requests.append(between - started)
                bare.append(ended - between)
                around.append(between - started - sum(server_timing(answer.headers).values()))
    return {
        "request_seconds": [round(value, 3) for value in requests],
        "bare_pipeline_seconds": [round(value, 3) for value in bare],
        "milliseconds_around_the_pipeline": percentiles(around),
        "percent_around_the_pipeline": round(100 * statistics.median(around) / statistics.median(requests), 2),
        "median_request_over_bare": round(statistics.median(a / b for a, b in zip(requests, bare, strict=True)), 3),
    }


def health(folder: str, scale: float) -> dict[str, Any]:
    photo = sample_photo()
    seconds: dict[str, list[float]] = {"/health": [], "/metrics": []}
    with running_server(folder) as (_, client, _):
        ask(client, photo).raise_for_status()
        stop = threading.Event()

        def work() -> None:
            with httpx.Client(base_url=client.base_url, timeout=120) as other:
                while not stop.is_set():
                    other.post(
                        "/api/inference", content=photo, params={"seed": "1"}, headers={"content-type": "image/png"}
                    ).raise_for_status()

        worker = threading.Thread(target=work)
        worker.start()
        while not client.get("/health").json()["queue"]["running"]:
            pass
        for _ in range(round(1000 * scale)):
            for path, spent in seconds.items():
                started = time.perf_counter()
                client.get(path).raise_for_status()
                spent.append(time.perf_counter() - started)
            stop.wait(0.01)  # a busy loop would measure itself
        stop.set()
        worker.join()
    return {"probes": len(seconds["/health"]), **{path: percentiles(spent) for path, spent in seconds.items()}}


def soak_tiny(folder: str, scale: float) -> dict[str, Any]:
    with tiny_server(folder) as (pid, client):
        return soak(folder, pid, client, itertools.repeat(b"0"), round(2000 * scale))


def soak_preview(folder: str, scale: float) -> dict[str, Any]:
    with running_server(folder) as (server, client, _):
        return soak(folder, server.pid, client, itertools.cycle([disc(60), disc(120), disc(200)]), round(200 * scale))


def soak(folder: str, pid: int, client: httpx.Client, photos: Iterator[bytes], requests: int) -> dict[str, Any]:
    """Ask so often, one after the other, and look at the processes forty times meanwhile.

    The first half is the warm-up; the drift is from the tenth of the samples that follows it to the last tenth.
    """
    samples = []
    every = max(1, requests // 40)
    for number in range(1, requests + 1):
        ask(client, next(photos)).raise_for_status()
        if number % every == 0:
            samples.append(sample(pid, folder))
    half, tenth = len(samples) // 2, max(1, len(samples) // 10)

    def drift(name: str) -> float:
        before = statistics.median(sample[name] for sample in samples[half : half + tenth])
        after = statistics.median(sample[name] for sample in samples[-tenth:])
        return round(100 * (after / before - 1), 2) if before else float(after)

    state = client.get("/health").json()
    assert (state["loads"], state["losses"]) == (1, 0)
    return {
        "requests": requests,
        "drift_percent": {name: drift(name) for name in samples[0] if name != "output_bytes"},
        "most_output_bytes": max(sample["output_bytes"] for sample in samples),
        "output_quota_bytes": OUTPUT_BYTES,
        "samples": {name: [sample[name] for sample in samples] for name in samples[0]},
    }


def sample(pid: int, folder: str) -> dict[str, int]:
    """Return the sum for the service, its engine and their supervisor."""
    pids = below(pid)
    outputs = [path.stat().st_size for path in Path(f"{folder}/outputs").iterdir()]
    return {
        # Not the proportional size: that of ours grows when somebody else's process with the same libraries ends.
        "resident_bytes": sum(resident(one) for one in pids),
        "descriptors": sum(len(os.listdir(f"/proc/{one}/fd")) for one in pids),
        "threads": sum(len(os.listdir(f"/proc/{one}/task")) for one in pids),
        "work_files": sum(path.is_file() for path in Path(f"{folder}/work").rglob("*")),
        "output_bytes": sum(outputs),
    }


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def disc(size: int) -> bytes:
    """Return a cut-out disc as a square PNG of this size in pixels."""
    y, x = np.mgrid[:size, :size]
    pixels = np.full((size, size, 4), (128, 128, 128, 0), np.uint8)
    pixels[(x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2] = (220, 30, 30, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PARTS: dict[str, Callable[[str, float], dict[str, Any]]] = {
    "load": load,
    "overhead": overhead,
    "health": health,
    "soak-tiny": soak_tiny,
    "soak-preview": soak_preview,
    "floods": floods.floods,
    "memory": floods.memory,
}


if __name__ == "__main__":
    main()
