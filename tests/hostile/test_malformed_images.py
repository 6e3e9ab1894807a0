"""Thousands of malformed pictures through the real decoder and mask code."""

import json
import os
import subprocess
import sys
import time

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from tests.support.malformed import findings
from tests.support.places import PROJECT

ENOUGH = 5000
TIMEOUT_SECONDS = 300  # for all of them; decode_all has a bound for each


@pytest.fixture(scope="module")
def run(mask_model, tmp_path_factory):
    """The figures of one run of decode_all, what it wrote to standard error, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("decode")
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "tests.support.decode_all"]
    program = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    assert program.returncode == 0, program.stderr[-3000:]
    return json.loads(program.stdout), program.stderr, folder


@pytest.mark.properties
def test_every_malformed_picture_is_read_or_refused_with_a_reason(run):
    figures, _, _ = run
    assert figures["tried"] >= ENOUGH
    assert figures["faults"] == []
    assert set(figures["outcomes"]) == {"mask", "bad_request", "too_large", "unsupported_media", "no_object"}
    assert figures["model_runs"] > 0


@pytest.mark.properties
def test_malformed_pictures_leave_nothing_behind(run):
    figures, errors, folder = run
    assert list(folder.iterdir()) == []
    assert figures["descriptors"] == 0
    assert figures["grown"] < 20e6, "in the second half: 4 kB for each of them would be a leak"
    assert figures["peak"] < 1e9, "bombs of 30 MB and claims of 2^62 pixels among them"
    assert "Warning" not in errors, "what Pillow thinks of a stranger's file is nothing for our log"


@pytest.mark.parametrize("make", findings(), ids=lambda make: make.__name__)
def test_a_large_file_of_many_small_parts_is_refused_at_once(make):
    """Each of them took from 20 seconds to minutes."""
    data = make(20_000_000)
    started = time.process_time()
    with pytest.raises(BadRequest, match="too many parts"):
        decode(data, max_pixels=64_000_000)
    assert time.process_time() - started < 5
