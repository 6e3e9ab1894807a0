"""Client of the jobs API. `RemotePipeline.run` does on another machine what `pipeline.Pipeline.run` does here."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from sam3d_bento.cli.generation.progress import JobProgress, OnJobProgress
from sam3d_bento.errors import Internal, NotFound, Sam3DError, TransferFailed, by_code
from sam3d_bento.submission import Asset, SceneInput, Submission

# States in which a job has ended.
END_STATES = ("done", "failed", "cancelled")
# Seconds. The service sends a heartbeat every 15 seconds, so a stream that is silent for three of them is dead.
TIMEOUT = httpx.Timeout(30.0, read=45.0, write=300.0)
# Cuts of the event stream without an event in between, after which the client gives up.
MAX_CUTS_IN_A_ROW = 5
# Pause before the event stream is opened again.
RECONNECT_SECONDS = 1.0


class RemotePipeline:
    """Client of the service at a base URL, to be used in a `with` block, which closes it.

    key: the API key, if the service requires one.
    """

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        self.url = url.rstrip("/")
        # The key is in this header because httpx does not send it along when it follows a redirect to the store of
        # results.
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._http = httpx.Client(base_url=self.url, timeout=TIMEOUT, follow_redirects=True, headers=headers)

    def __enter__(self) -> RemotePipeline:
        return self

    def __exit__(self, *args: object) -> None:
        self._http.close()

    def run(self, submission: Submission, on_progress: OnJobProgress) -> Asset:
        """Turn a photo into a GLB, and wait for it. An interrupted wait cancels the job.

        Raises the error that the service reports. Raises TransferFailed if the service cannot be reached, or if the
        server is not a service of this kind.
        """
        # The name travels as the photo's file name, which an older service ignores.
        name = submission.options.name
        files = [("image", ("photo" if name is None else f"{name}.photo", submission.photo))]
        scene = submission.scene or SceneInput()
        for field, content in (
            ("mask", submission.mask),
            ("depth", submission.depth),
            ("pointmap", submission.pointmap),
            *(("masks", mask) for mask in scene.masks),
            ("labels", scene.labels),
            ("objects", None if scene.objects is None else scene.objects.encode()),
        ):
            if content is not None:
                files.append((field, (field, content)))
        # Only options that differ from their defaults are sent, because an older service may not know the others.
        options = submission.options.model_dump(exclude_defaults=True, exclude={"name"})
        data = {name: json.dumps(value) if isinstance(value, bool) else str(value) for name, value in options.items()}
        job = self._submit(files, data)
        try:
            job = self._follow(job, on_progress)
        except BaseException:  # whatever ends the wait, Ctrl-C included: the result is no longer needed
            self._forget(job["id"])
            raise
        if job["state"] != "done":
            raise _error(job["problem"])
        asset = job["report"]
        return Asset(self._bytes(f"/api/assets/{asset['id']}.glb"), asset)

    def file(self, asset_id: str, suffix: str) -> bytes:
        """Return a file of a result of `run`: its picture (`webp`), or the model in another format.

        Raises the same errors as `run`.
        """
        return self._bytes(f"/api/assets/{asset_id}.{suffix}")

    def _submit(self, files: list[tuple[str, tuple[str, bytes]]], data: dict[str, str]) -> dict[str, Any]:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        with self._reached():
            try:
                answer = self._http.post("/api/jobs", files=files, data=data, headers=headers)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                # The answer was lost, but perhaps not the job. With the same key, the service returns the same job.
                answer = self._http.post("/api/jobs", files=files, data=data, headers=headers)
        if answer.status_code == NotFound.status:
            raise NotFound(
                f"There is nothing at {answer.url}. Is {self.url} the address of a sam3d-bento service? "
                "An address such as http://127.0.0.1:8000 is expected."
            )
        return self._json(answer)

    def _follow(self, job: dict[str, Any], on_progress: OnJobProgress) -> dict[str, Any]:
        """Follow the job until it ends, and return it. Resumes an event stream that was cut."""
        last, cuts = "", 0
        while job["state"] not in END_STATES:
            try:
                for number, moment in self._events(job["id"], last):
                    job, last, cuts = moment, number, 0
                    on_progress(
                        JobProgress(job["stage"] or job["state"], job["fraction"], job.get("estimated_seconds"))
                    )
            except httpx.TransportError as exc:
                cuts += 1
                if cuts > MAX_CUTS_IN_A_ROW:
                    raise TransferFailed(
                        f"The connection to {self.url} was lost and could not be restored. Try again."
                    ) from exc
            if job["state"] not in END_STATES:
                threading.Event().wait(RECONNECT_SECONDS)
        return job

    def _events(self, job_id: str, last: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the id and the data of each event after the event with the id `last`."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        with self._http.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as stream:
            if stream.status_code != httpx.codes.OK:
                stream.read()
                yield last, self._json(self._http.get(f"/api/jobs/{job_id}"))
                return
            number = last
            for line in stream.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    number = value
                elif field == "data":
                    yield number, json.loads(value)

    def _forget(self, job_id: str) -> None:
        try:
            self._http.delete(f"/api/jobs/{job_id}", timeout=5.0)
        except httpx.HTTPError:
            return  # the job then ends by itself

    def _bytes(self, path: str) -> bytes:
        with self._reached():
            answer = self._http.get(path)
            if answer.is_error:
                raise _error(_problem(answer))
            return answer.content

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise _error(_problem(answer))
        try:
            found = answer.json()
            found["id"], found["state"]
        except (ValueError, KeyError, TypeError) as exc:
            raise TransferFailed(f"The server at {self.url} is not a sam3d-bento service. Check the address.") from exc
        return dict(found)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise TransferFailed(
                f"The service at {self.url} cannot be reached. Check the address and that the service is running."
            ) from exc


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        return dict(answer.json())
    except (ValueError, TypeError):
        return {"code": "", "detail": f"The service answered with status {answer.status_code} and no reason."}


def _error(problem: dict[str, Any]) -> Sam3DError:
    """Return the error from `errors` that a problem document describes; Internal for an unknown code."""
    kind = by_code().get(problem.get("code", ""), Internal)
    return kind(str(problem.get("detail", "The service gave no reason.")))
