"""The real pipeline with the preview engine; a photo whose bytes are one of the verbs below makes it fail instead."""

import ctypes
import tempfile

from sam3d_bento.errors import GpuOutOfMemory
from sam3d_bento.pipeline import Pipeline
from tests.support.fake_runner import FakeRunner


class FaultyPreview(FakeRunner):
    def __init__(self, settings):
        super().__init__(settings)
        self._pipeline = Pipeline.load(settings)
        self.info = self._pipeline.info

    def run(self, submission, on_progress, on_reconstruction=None):
        verb, _, argument = submission.photo[:100].partition(b":")
        if b"\0" in verb:
            return self._pipeline.run(submission, on_progress, on_reconstruction)
        if verb == b"oom":
            raise GpuOutOfMemory("The GPU's memory did not suffice for this photo. Try again, or choose a smaller one.")
        if verb == b"stuck":  # native code that never comes back and never lets go of the interpreter
            ctypes.PyDLL(None).sleep(3600)
        if verb == b"fill":
            with tempfile.NamedTemporaryFile() as file:
                while True:
                    file.write(bytes(100_000))
        result = super().run(submission, on_progress, on_reconstruction)
        return type(result)(b"glTF" + bytes(int(argument)), result.report) if verb == b"large" else result
