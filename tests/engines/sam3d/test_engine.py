"""The SAM 3D engine where there is no torch, no GPU and no upstream: its tables, and that it says what is missing."""

import subprocess
import sys

import pytest

from sam3d_bento.engines.sam3d import faults
from sam3d_bento.engines.sam3d.engine import STEPS, Sam3dEngine
from sam3d_bento.engines.sam3d.memory.profiles import DIFFUSION, NEEDS, PARTS, PROFILES, STAGES, fitting
from sam3d_bento.errors import NotReady
from sam3d_bento.options import choices


def test_draft_is_upstreams_shortcut_and_high_takes_more_steps():
    assert (STEPS["draft"].stage1, STEPS["draft"].stage2, STEPS["draft"].shortcut) == (4, 12, True)
    assert (STEPS["standard"].stage1, STEPS["standard"].stage2, STEPS["standard"].shortcut) == (25, 25, False)
    assert STEPS["high"].stage1 > STEPS["standard"].stage1
    assert STEPS["high"].stage2 > STEPS["standard"].stage2
    assert STEPS.keys() == set(choices("quality"))


def test_missing_parts_are_named_without_importing_torch(tmp_path):
    code = f"""
import sys
from pathlib import Path
from sam3d_bento.engines.sam3d.engine import Sam3dEngine
from sam3d_bento.errors import NotReady
try:
    Sam3dEngine(Path({str(tmp_path)!r})).load()
except NotReady as error:
    assert "torch" not in sys.modules
    print(error.detail)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "cannot be used" in said or "is missing" in said


def test_it_has_no_facts_before_its_load(tmp_path):
    with pytest.raises(NotReady, match="not loaded"):
        _ = Sam3dEngine(tmp_path).facts


def test_every_part_has_a_stage_and_every_stage_its_parts():
    assert set(NEEDS) == set(STAGES)
    assert set().union(*NEEDS.values()) == set(PARTS)
    for profile in PROFILES.values():
        assert all(NEEDS[stage] <= profile.residents(stage) for stage in STAGES)


def test_profiles_get_leaner_from_one_to_the_next():
    assert [profile.name for profile in PROFILES.values()] == ["32gb", "24gb", "16gb", "12gb"]
    largest, roomy, middle, tight = PROFILES.values()
    assert all(largest.residents(stage) == set(PARTS) for stage in STAGES)
    assert all(roomy.residents(stage) > middle.residents(stage) for stage in DIFFUSION)
    assert roomy.residents("mesh") == middle.residents("mesh")  # in these, the mesh decode has the GPU to itself
    assert middle.decode_rows is None
    assert tight.decode_rows


@pytest.mark.parametrize(
    ("profile", "stage", "cheaper"),
    [
        ("32gb", "mesh", "24gb"),
        ("24gb", "ss_sample", "16gb"),
        ("24gb", "mesh", "12gb"),  # in 16gb the mesh decode needs as much
        ("16gb", "mesh", "12gb"),
        ("24gb", "gaussians", "16gb"),  # needs the same in all: a second attempt on a GPU swept clean
    ],
)
def test_a_second_attempt_is_made_where_the_stage_needs_less(profile, stage, cheaper):
    assert PROFILES[profile].cheaper(stage) is PROFILES[cheaper]


def test_nothing_is_cheaper_than_the_tightest_profile():
    assert not any(PROFILES["12gb"].cheaper(stage) for stage in STAGES)


@pytest.mark.parametrize(
    ("card_bytes", "name"),
    [
        (85_000_000_000, "32gb"),  # A100, H100
        (34_200_000_000, "32gb"),  # RTX 5090
        (25_390_000_000, "24gb"),  # RTX 4090
        (23_600_000_000, "24gb"),  # A10G, L4
        (17_060_000_000, "16gb"),  # RTX 4080
        (15_800_000_000, "16gb"),  # T4
        (12_600_000_000, "12gb"),  # RTX 3060
        (8_500_000_000, "12gb"),  # smaller than all: the tightest is tried
    ],
)
def test_a_card_gets_the_roomiest_profile_that_it_can_hold(card_bytes, name):
    assert fitting(card_bytes).name == name


OUT_OF_MEMORY = [
    RuntimeError("CUDA out of memory. Tried to allocate 3.15 GiB. GPU 0 has a total capacity of 23.64 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("/tmp/tensorview/tensor.h(223) cuda failed with error 2 out of memory. use CUDA_LAUNCH_BLOCKING=1"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]
STICKY = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("tensor.h(223) cuda failed with error 700 an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
NEITHER = [
    RuntimeError("shape '[1, 8]' is invalid for input of size 9"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    ValueError("CUDA error: out of memory"),  # CUDA's own are RuntimeErrors
    MemoryError("out of memory"),  # the host's
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_out_of_memory_is_known_in_all_its_forms(error):
    assert faults.is_out_of_memory(error)
    assert not faults.is_sticky(error)


@pytest.mark.parametrize("error", STICKY, ids=str)
def test_an_error_after_which_the_gpu_is_lost_is_no_lack_of_memory(error):
    assert faults.is_sticky(error)
    assert not faults.is_out_of_memory(error)


@pytest.mark.parametrize("error", NEITHER, ids=str)
def test_other_errors_are_neither(error):
    assert not faults.is_out_of_memory(error)
    assert not faults.is_sticky(error)
