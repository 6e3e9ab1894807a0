"""Serve the route /metrics for Prometheus: counts since the start, and the present state.

Counts are added where they happen (`telemetry/counts.py`). State that can be read (the queue, the GPU, the stored
results) is read at each scrape, so it cannot be out of date after a job ended, an engine was lost or a process was
killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import sam3d_bento
from sam3d_bento import gpu, weights
from sam3d_bento.errors import StorageUnavailable
from sam3d_bento.serving.assets import ASSET_NAME, KEPT, KINDS, Kind
from sam3d_bento.serving.assets.threads import StorageThreads
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.request_context import backend
from sam3d_bento.settings import Settings
from sam3d_bento.weights import sets
from sam3d_bento.weights.part import WeightsError

# Threads for reading folders, which may hang. A reading that is not ready in time is absent from that scrape.
_threads = StorageThreads("metrics", 2)
READING_SECONDS = 2.0  # for each reading; Prometheus allows 10 seconds for a scrape by default


async def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus to scrape."""
    text = await anyio.to_thread.run_sync(exposition, backend())
    return Response(text, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


def exposition(backend: Backend) -> bytes:
    """Return the metrics in Prometheus' text format, with those of the service process. Call it in a thread."""
    registry = CollectorRegistry()
    registry.register(BackendCollector(backend))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class BackendCollector(Collector):
    """Collector of all metrics of a service process, for a registry of `prometheus_client`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics at this moment. Call it in a thread: it reads folders and queries the GPU's driver."""
        yield from self._backend.telemetry.registry.collect()
        yield from take(self._backend)


def take(backend: Backend) -> Iterator[Metric]:
    """Yield all readings.

    A value that cannot be known here is absent, never 0: that of a GPU, say, or the contents of a bucket.
    """
    yield from _engine(backend)
    yield from _queue(backend)
    yield from _processes(backend)
    yield from _gpu(backend)
    yield from _results(backend)
    yield from _weights(backend.settings)


def _engine(backend: Backend) -> Iterator[Metric]:
    info = backend.worker.info
    labels = {"version": sam3d_bento.__version__}
    if info is not None:
        labels |= {"engine": info.name, "engine_version": info.version, "device": info.device}
    about = GaugeMetricFamily("sam3d_info", "Always 1; the labels say what runs.", labels=list(labels))
    about.add_metric(list(labels.values()), 1)
    yield about
    yield GaugeMetricFamily("sam3d_ready", "Whether jobs are taken, as /health says.", int(backend.ready))


def _queue(backend: Backend) -> Iterator[Metric]:
    worker = backend.worker
    yield GaugeMetricFamily("sam3d_queue_waiting", "Jobs that wait for their run.", worker.queue.waiting)
    running = int(worker.queue.running is not None)
    yield GaugeMetricFamily("sam3d_queue_running", "Jobs that run now: 0 or 1.", running)
    exporting = len(worker.exporting)
    yield GaugeMetricFamily("sam3d_queue_exporting", "Jobs that are exported beside the next run: 0 to 2.", exporting)
    yield GaugeMetricFamily("sam3d_queue_limit", "Jobs that may wait.", backend.settings.queue_limit)


def _processes(backend: Backend) -> Iterator[Metric]:
    loads = CounterMetricFamily("sam3d_engine_loads", "Loads of an engine process that succeeded.", labels=["process"])
    losses = CounterMetricFamily(
        "sam3d_engine_losses", "Engine processes that died, hung or gave themselves up.", labels=["process"]
    )
    for name, counts in backend.process_counts.items():
        loads.add_metric([name], counts.loads)
        losses.add_metric([name], counts.losses)
    yield loads
    yield losses


def _gpu(backend: Backend) -> Iterator[Metric]:
    if memory := gpu.memory():
        name = [memory.name]
        used = GaugeMetricFamily("sam3d_gpu_memory_used_bytes", "In use on the card, by all processes.", labels=["gpu"])
        used.add_metric(name, memory.used_bytes)
        yield used
        total = GaugeMetricFamily("sam3d_gpu_memory_total_bytes", "Memory of the card.", labels=["gpu"])
        total.add_metric(name, memory.total_bytes)
        yield total
    if (peak := backend.telemetry.gpu_peak_bytes) is not None:
        yield GaugeMetricFamily(
            "sam3d_gpu_memory_peak_bytes", "Most that a run had allocated on the GPU since the service started.", peak
        )


def _results(backend: Backend) -> Iterator[Metric]:
    if backend.settings.output_url is not None:
        return  # every listing of a bucket costs money
    try:
        stock = _threads.call(held, backend.settings.output_dir, patience_seconds=READING_SECONDS)
    except (StorageUnavailable, OSError):
        return
    yield GaugeMetricFamily("sam3d_assets", "Results that can be fetched.", stock.results)
    stored = GaugeMetricFamily("sam3d_assets_bytes", "Bytes of the files of results that expire.", labels=["kind"])
    for kind, size in stock.sizes.items():
        stored.add_metric([kind], size)
    yield stored
    yield GaugeMetricFamily("sam3d_assets_kept_bytes", "Bytes of the files of results that clients keep.", stock.kept)
    limit = backend.settings.output_max_bytes
    yield GaugeMetricFamily("sam3d_assets_limit_bytes", "Bytes above which the oldest results are removed.", limit)


@dataclass(frozen=True)
class Stock:
    """What is in the folder for results. sizes: bytes of the files that expire, by kind. kept: bytes of the others."""

    results: int
    sizes: dict[Kind, int]
    kept: int


def held(folder: Path) -> Stock:
    """Return what is in the folder for results."""
    found: list[tuple[str, Kind, int]] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if ASSET_NAME.fullmatch(entry.name):
                with suppress(FileNotFoundError):  # a sweep has removed the file
                    owner, _, kind = entry.name.partition(".")
                    found.append((owner, kind, entry.stat(follow_symlinks=False).st_size))
    marked = {owner for owner, kind, _ in found if kind == KEPT}
    sizes = {kind: 0 for kind in KINDS if kind != KEPT}
    for owner, kind, size in found:
        if owner not in marked:
            sizes[kind] += size
    kept = sum(size for owner, _, size in found if owner in marked)
    return Stock(sum(kind == "glb" for _, kind, _ in found), sizes, kept)


def _weights(settings: Settings) -> Iterator[Metric]:
    verified = GaugeMetricFamily(
        "sam3d_weights_verified",
        "1: each file of the set is there with the size of its manifest. (Contents: `sam3d-bento weights verify`.)",
        labels=["set"],
    )
    for name in sets.in_use(settings):
        with suppress(StorageUnavailable):
            verified.add_metric([name], int(_threads.call(_complete, name, settings, patience_seconds=READING_SECONDS)))
    yield verified


def _complete(name: str, settings: Settings) -> bool:
    try:
        return not weights.verify(name, sets.SETS[name].folder(settings), contents=False, optional=False)
    except (WeightsError, OSError):
        return False


routes = [Route("/metrics", metrics)]
