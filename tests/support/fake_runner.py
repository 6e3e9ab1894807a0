"""A Runner with the real interface that does what the photo's bytes say. Imported by engine processes in tests."""

import os
import sys
import time
from pathlib import Path

from sam3d_bento.errors import EngineLost, NoObject, NotReady
from sam3d_bento.export.glb import container
from sam3d_bento.submission import Asset, RunnerInfo


class FakeReconstruction:
    def __init__(self, photo):
        self.content = b"reconstruction of " + photo

    def save(self, path):
        path.write_bytes(self.content)


FORGERIES = {
    "pickle": b"\x80\x04N.",
    "noise": b"\0\0\0\4\xff\xfe\xfd\xfc",
}


def forge(kind):
    """Send something that is no message, over the pipe that this process was given."""
    content = FORGERIES[kind]
    os.write(int(sys.argv[1]), len(content).to_bytes(8) + content)
    time.sleep(60)


def obey(verb, argument, tell):
    """Do what a photo says. tell: reports progress, and ends honest work that is cancelled."""
    if verb == "nap":
        until = time.monotonic() + float(argument)
        while time.monotonic() < until:
            tell()
            time.sleep(0.01)
    elif verb == "hang":  # native code that never comes back
        while True:
            time.sleep(1)
    elif verb == "crash":
        os.kill(os.getpid(), 9)
    elif verb == "poison":  # a CUDA error after which this process can compute nothing any more
        raise EngineLost("The GPU failed in this run and the engine was restarted. Try again.")
    elif verb == "refuse":
        raise NoObject("There is nothing here.")
    elif verb == "bug":
        raise ZeroDivisionError("a secret detail")
    elif verb == "forge":  # an engine that was taken over
        forge(argument)
    elif verb == "litter":
        import tempfile

        Path(tempfile.mkdtemp(), "left-behind").write_bytes(b"x")
        if argument:
            os._exit(1)


class FakeRunner:
    info = RunnerInfo("fake", "fake/1", "cpu", ("JPEG",), facts={"attention": "none"})

    def __init__(self, settings):
        self.runs = 0

    def run(self, submission, on_progress, on_reconstruction=None):
        self.runs += 1
        verb, _, argument = submission.photo.decode().partition(":")
        on_progress("decode", 0.0)
        obey(verb, argument, lambda: on_progress("reconstruct", 0.5))
        return self.result(submission, on_progress, on_reconstruction)

    def result(self, submission, on_progress, on_reconstruction):
        verb, _, argument = submission.photo.decode().partition(":")
        if on_reconstruction:
            on_reconstruction(FakeReconstruction(submission.photo))
        on_progress("export", 1.0)
        report_fields = {
            "engine": "fake",
            "engine_version": "fake/1",
            "name": submission.options.result_name,
            "seed": submission.options.seed if submission.options.seed is not None else 7,
            "mask": {"source": "rembg", "coverage": 0.25},
            "warnings": [],
            "gpu_peak_bytes": int(argument) if verb == "peak" else None,
            "seconds": {"decode": 0.0, "mask": 0.0, "reconstruct": 0.0, "export": 0.0},
            "pid": os.getpid(),
            "runs": self.runs,
        }
        if verb == "named":  # a GLB with nothing in it but the name of its result
            return Asset(container.join({"asset": {"extras": {"name": report_fields["name"]}}}, b""), report_fields)
        # The photo comes back in the result, so that a test sees whose it is.
        return Asset(b"glTF" + submission.photo, report_fields)


def missing(settings):
    raise NotReady("The weights are missing.")


def broken(settings):
    raise RuntimeError("/a/path/that/stays/in/the/log")


def waits(settings):
    """Load for ever, without getting on: as for a lock that nobody gives back."""
    while True:
        time.sleep(1)


def attempts(settings):
    """The file with a line for each process that began to load: its id."""
    return settings.work_dir / "attempts"


def loads_late(settings):
    """Wait until the test writes into a file, and then do what it says."""
    with attempts(settings).open("a") as file:
        file.write(f"{os.getpid()}\n")
    order = settings.work_dir / "order"
    while not order.exists():
        time.sleep(0.01)
    if order.read_text() == "die":
        os._exit(3)
    return FakeRunner(settings)


def photo(text="nap:0"):
    """The files of a form whose photo tells a `FakeRunner` what to do."""
    return {"image": ("photo.png", text.encode(), "image/png")}
