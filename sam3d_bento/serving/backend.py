"""State of one service process: its folders, jobs, engine process and helper processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import Tracer

from sam3d_bento import gpu, logs
from sam3d_bento.errors import StorageUnavailable
from sam3d_bento.serving import shortage
from sam3d_bento.serving.assets import Assets
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.assets.threads import StorageThreads
from sam3d_bento.serving.helpers import Counts, Helpers
from sam3d_bento.serving.jobs import Jobs
from sam3d_bento.serving.keys import Keys
from sam3d_bento.serving.reconstructor import Reconstructor
from sam3d_bento.serving.telemetry.counts import Telemetry
from sam3d_bento.serving.telemetry.traces import Traces
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.state import MAX_LOSSES_IN_A_ROW, WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.settings import ADDRESS_VARIABLE, Settings, SettingsError

ENGINE_LOADER = "sam3d_bento.pipeline:Pipeline.load"
MASK_LOADER = "sam3d_bento.pipeline:MaskPreview.load"
EXPORT_LOADER = "sam3d_bento.pipeline:Exporter.load"
POSTPROCESS_LOADER = "sam3d_bento.postprocess:Postprocessor.load"

# Longest wait at the end for a sweep or for the removal of the work folder, in case the storage hangs.
LAST_CALL_SECONDS = 5.0

log = logging.getLogger("sam3d_bento.backend")


class Backend:
    """State of one service process. The engine loads in the background; `ready` is true when it accepts jobs.

    engine_loader, export_loader: as in `messages.Start`. tracer: makes the spans of runs; None for no tracing.
    """

    def __init__(
        self,
        settings: Settings,
        engine_loader: str = ENGINE_LOADER,
        tracer: Tracer | None = None,
        export_loader: str = EXPORT_LOADER,
    ) -> None:
        self.settings = settings
        logs.configure(settings.log_format)
        for name in Settings.unknown_names():
            logs.event(log, "unknown setting", logging.WARNING, name=name, did_you_mean=Settings.suggestion(name))
        self.workdir = WorkDir(settings.work_dir)
        self.assets = choose_assets(settings)
        self.keys = None if settings.api_keys_file is None else Keys(settings.api_keys_file)
        self.telemetry = Telemetry()
        self._traces = Traces(tracer)
        # The lock file of `photo.decode_lock` is in this folder, which only the processes of this service share.
        self._process_settings = settings.model_copy(update={"work_dir": self.workdir.path})
        self.worker = Worker(
            "engine",
            engine_loader,
            self._process_settings,
            self.workdir,
            run_ended=self._run_ended,
            loaded=_announce_studio,
            exporter=lambda: self._helper("export", lambda: self._make_exporter(export_loader)),
        )
        keep = settings.keep_reconstructions
        self.reconstructor = Reconstructor(self.worker, self.assets, keep_reconstructions=keep)
        self.jobs = Jobs(self.reconstructor, self.worker, settings.output_ttl_seconds)
        self.drawing = asyncio.Lock()  # one picture at a time, so that a page of pictures does not fill the queue
        self._helpers = Helpers(settings.helper_idle_seconds)
        self._stopping = threading.Event()
        self._storage = StorageThreads("backend", 2)
        self._sweeper = threading.Thread(target=self._sweep_regularly, name="sweeper", daemon=True)
        self._tempdir_before = tempfile.tempdir
        if self.keys is not None:
            try:
                self.keys.claim()
            except SettingsError as exc:
                self.worker.fail(f"SAM3D_API_KEYS_FILE: {exc}")
                return
        for setting, claim in (("SAM3D_WORK_DIR", self.workdir.claim), (self.assets.setting, self.assets.claim)):
            try:
                self._storage.call(claim)
            except OSError as exc:  # after an exception here, BentoML would restart the process repeatedly
                log.exception("a folder cannot be used")
                self.worker.fail(f"The folder in {setting} cannot be used ({exc.strerror}).")
                return
            except StorageUnavailable as exc:
                place = "folder" if setting.endswith("_DIR") else "object store"
                self.worker.fail(f"The {place} in {setting} cannot be used: {exc.detail}")
                return
        self.workdir.sweep()
        # Temporary files of this process, such as large uploads, are in a folder that the next process sweeps.
        tempfile.tempdir = str(self.workdir.path)
        self.worker.start()
        self._sweeper.start()

    @property
    def ready(self) -> bool:
        """Whether the engine is loaded, warm, and its process alive."""
        return self.worker.ready

    @property
    def alive(self) -> bool:
        """Whether the service works without a restart. False after a failed load or MAX_LOSSES_IN_A_ROW losses.

        This covers the engine and each running helper. After losses the worker continues: a successful load, or a job
        that ends without a loss, makes it true again.
        """
        return all(map(_is_sound, self.workers))

    @property
    def workers(self) -> list[Worker]:
        """Worker of the engine, and those of the running helpers."""
        return [self.worker, *self._helpers.workers]

    @property
    def process_counts(self) -> dict[str, Counts]:
        """The loads and losses of each kind of process since the service's start."""
        return {self.worker.name: Counts(self.worker.loads, self.worker.all_losses)} | self._helpers.counts

    @property
    def mask_worker(self) -> Worker:
        """Worker that previews masks, started on demand, so that a mask never waits for a reconstruction.

        It ends after a long idle time, so do not keep a reference during an upload.
        """
        return self._helper("mask", lambda: self._make_helper("mask", MASK_LOADER))

    @property
    def postprocess_worker(self) -> Worker:
        """Worker that exports and draws finished results, started on demand.

        Its jobs take seconds of CPU time, for which neither masks nor reconstructions wait. It ends like `mask_worker`.
        """
        return self._helper("postprocess", lambda: self._make_helper("postprocess", POSTPROCESS_LOADER))

    def health(self) -> dict[str, Any]:
        """Return the report of `/health` as JSON values."""
        worker = self.worker
        info = worker.info
        memory = gpu.memory()
        running, exporting = worker.queue.running, worker.exporting
        job = running or next(iter(exporting), None)
        stage, fraction = job.progress if job and job.progress else (None, None)
        reason = worker.reason or next((_unsoundness(one) for one in self.workers if not _is_sound(one)), "")
        return {
            "status": "ready" if worker.ready else str(worker.state),
            "reason": reason or None,
            "engine": info.name if info else None,
            "engine_version": info.version if info else None,
            "device": info.device if info else None,
            "engine_facts": info.facts if info else None,
            "gpu_memory": {"name": memory.name, "used_bytes": memory.used_bytes, "total_bytes": memory.total_bytes}
            if memory
            else None,
            "queue": {
                "running": int(running is not None),
                "exporting": len(exporting),
                "waiting": worker.queue.waiting,
                "limit": self.settings.queue_limit,
            },
            "run": {"stage": stage, "fraction": fraction} if stage else None,
            "loads": worker.loads,
            "losses": worker.losses,
            "processes": {
                one.name: {
                    "state": str(one.state),
                    "reason": one.reason or None,
                    "loads": one.loads,
                    "losses": one.losses,
                }
                for one in self.workers
            },
        }

    def sweep(self) -> None:
        """Remove expired results and the files of dead processes. Raises OSError or StorageUnavailable."""
        self.workdir.sweep()
        removed = self.assets.sweep()
        if removed:
            logs.event(log, "removed expired results", count=removed)

    def end_work(self) -> None:
        """End the processes, and end every job with NotReady. May be called several times, and before `stop`."""
        self._helpers.close()
        threads = [threading.Thread(target=worker.stop, daemon=True) for worker in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """End the processes, and remove this process's short-lived files. Results stay until they expire."""
        self._stopping.set()
        if self._sweeper.is_alive():
            self._sweeper.join(LAST_CALL_SECONDS)
        self.end_work()
        tempfile.tempdir = self._tempdir_before
        with contextlib.suppress(StorageUnavailable):
            self._storage.call(self.workdir.close, patience_seconds=LAST_CALL_SECONDS)

    def _run_ended(self, process: str, job: Job, outcome: Any) -> None:
        self.telemetry.run_ended(process, job, outcome)
        self._traces.run_ended(process, job, outcome)

    def _helper(self, name: str, make: Callable[[], Worker]) -> Worker:
        """Return the helper, and start it if necessary.

        Raises NotReady while the service shuts down, and if the system is out of descriptors or threads.
        """
        try:
            return self._helpers.get(name, make)
        except (OSError, RuntimeError) as exc:
            if shortage.is_shortage(exc):
                raise shortage.refusal() from exc
            raise

    def _make_helper(self, name: str, loader: str) -> Worker:
        settings = self._process_settings
        return Worker(name, loader, settings, self.workdir, queue_while_loading=True, run_ended=self._run_ended)

    def _make_exporter(self, loader: str) -> Worker:
        """Return the worker that exports for the engine's, which counts the whole run: this one counts nothing.

        One export may wait while another runs.
        """
        settings = self._process_settings.model_copy(update={"queue_limit": 1})
        return Worker("export", loader, settings, self.workdir, queue_while_loading=True)

    def _sweep_regularly(self) -> None:
        while True:
            try:
                self.sweep()
            except OSError as exc:
                # For a shortage of descriptors, a traceback is of no help.
                log.error("the sweep failed and will be repeated", exc_info=not shortage.is_shortage(exc))
            except StorageUnavailable:
                pass  # the bucket has logged the reason; the sweep will be repeated
            if self._stopping.wait(self.assets.sweep_seconds):
                return


def _is_sound(worker: Worker) -> bool:
    """Return whether the worker is neither FAILED nor at the limit of losses."""
    return worker.state is not WorkerState.FAILED and worker.losses < MAX_LOSSES_IN_A_ROW


def _unsoundness(worker: Worker) -> str:
    """Return the reason in /health for a worker that is not sound."""
    if worker.state is WorkerState.FAILED:
        return f"The {worker.name} process failed to load: {worker.reason}"
    return f"The {worker.name} process was lost {worker.losses} times in a row. Restart the service."


def _announce_studio() -> None:
    """Log the address of the studio, if `sam3d-bento serve` has told it."""
    if address := os.environ.get(ADDRESS_VARIABLE):
        logs.event(log, "the studio is ready", address=address)


def choose_assets(settings: Settings) -> Assets:
    """Return the store for results that the settings select. Does not access it yet."""
    if settings.output_url is None:
        return AssetFolder(
            settings.output_dir,
            settings.output_ttl_seconds,
            settings.output_max_bytes,
            keep_max_bytes=settings.keep_max_bytes,
        )
    from sam3d_bento.serving.assets.bucket import Bucket

    return Bucket(
        settings.output_url,
        settings.output_ttl_seconds,
        keep_max_bytes=settings.keep_max_bytes,
        endpoint=settings.output_endpoint,
        region=settings.output_region,
        credentials_file=settings.output_credentials_file,
    )
