"""A program: puts the whole corpus through the decoder and the mask code, in one process, and says how it went.

It ends at once, with a traceback, when one input takes longer than SECONDS: a timer in C, because a decoder that hangs
holds the interpreter. Figures go to standard output as JSON; standard error stays empty unless something leaks there.
"""

import ctypes
import faulthandler
import gc
import io
import json
import os
import random
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from PIL import Image

from sam3d_bento.errors import Sam3DError
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.pipeline import MaskPreview
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from tests.support.malformed import corpus

SECONDS = 20  # for one input, on a machine that has other things to do
MAX_PIXELS = 1_000_000
SEED = 7
MODEL_RUNS = 5  # a network's run takes as long as a hundred other inputs


class CountedModel:
    """The real model, for the first few pictures that bring no mask."""

    def __init__(self, model):
        self._model = model
        self.runs = 0

    def soft_mask(self, rgb):
        self.runs += 1
        return self._model.soft_mask(rgb)


def main():
    settings = Settings.from_environ().model_copy(update={"max_pixels": MAX_PIXELS})
    model = CountedModel(MaskModel(settings.mask_model, settings.mask_dir))
    preview = MaskPreview(model, settings)
    outcomes, faults, slowest = Counter(), [], (0.0, "")
    held = descriptors = None
    warnings.simplefilter("always")
    inputs = list(corpus())
    random.Random(SEED).shuffle(inputs)  # so that both halves are alike: what the second one adds is a leak
    for tried, (name, data) in enumerate(inputs, start=1):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        started = time.monotonic()
        # its own mask: so both are decoded, and the mask code runs on what came of it
        submissions = [Submission(data, mask=data)]
        if model.runs < MODEL_RUNS and tried % 40 == 0:
            submissions.append(Submission(data))
        for submission in submissions:
            try:
                result = preview.run(submission, lambda stage, fraction: None)
                assert Image.open(io.BytesIO(result.png)).mode == "L"
                outcomes["mask"] += 1
            except Sam3DError as error:
                outcomes[error.code] += 1
                if not 400 <= error.status < 500 or not error.detail:
                    faults.append(f"{name}: {error!r}")
            except Exception as fault:  # noqa: BLE001  # that is what is looked for
                faults.append(f"{name}: {fault!r}")
        slowest = max(slowest, (time.monotonic() - started, name))
        if tried == len(inputs) // 2:
            held, descriptors = resident(), len(os.listdir("/proc/self/fd"))
    faulthandler.cancel_dump_traceback_later()
    # Not from getrusage: there a process begins with the peak of the one that started it.
    peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    figures = {"tried": tried, "outcomes": outcomes, "faults": faults, "slowest": slowest, "model_runs": model.runs}
    figures |= {"grown": resident() - held, "peak": peak, "descriptors": len(os.listdir("/proc/self/fd")) - descriptors}
    json.dump(figures, sys.stdout)


def resident():
    """Bytes of memory that this process holds now, without what is free and only not yet given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
