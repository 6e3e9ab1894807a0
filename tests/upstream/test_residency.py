"""Weights are exactly where the profile wants them, and nothing runs without its own."""

import pytest

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture
def parts():
    """Two embedders that share a backbone, a decoder with a buffer."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    backbone = nn.Linear(4, 4)
    decoder = nn.BatchNorm1d(4).eval()
    return {
        "ss_condition_embedder": nn.Sequential(backbone, nn.Linear(4, 2)),
        "slat_condition_embedder": nn.Sequential(backbone, nn.Linear(4, 3)),
        "slat_decoder_mesh": decoder,
    }


def place(parts, profile="16gb"):
    import torch

    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES
    from sam3d_bento.engines.sam3d.memory.residency import Residency

    return Residency(parts, torch.device("cpu"), PROFILES[profile])


def data_of(module):
    return [*module.parameters(), *module.buffers()]


def is_there(module):
    kinds = {tensor.is_meta for tensor in data_of(module)}
    assert len(kinds) == 1, "a part is there as a whole or not at all"
    return kinds == {False}


def test_only_the_stages_own_part_is_resident_in_the_lean_profiles(parts):
    residency = place(parts)
    assert not any(is_there(module) for module in parts.values())
    residency.enter("ss_condition")
    assert is_there(parts["ss_condition_embedder"])
    assert not is_there(parts["slat_decoder_mesh"])
    residency.enter("mesh")
    assert residency.resident == {"slat_decoder_mesh"}
    assert not is_there(parts["slat_condition_embedder"])


def test_the_roomy_profile_keeps_the_diffusion_until_the_mesh_is_decoded(parts):
    residency = place(parts, "24gb")
    residency.enter("ss_condition")
    assert is_there(parts["slat_condition_embedder"])
    residency.enter("mesh")
    assert residency.resident == {"slat_decoder_mesh"}


def test_a_part_that_is_not_resident_cannot_run(parts):
    import torch

    place(parts)
    with pytest.raises(RuntimeError):
        # addmm on placeholders gives a placeholder, so the mistake shows where the numbers are read
        parts["ss_condition_embedder"](torch.ones(1, 4)).sum().item()


def test_weights_come_back_bit_for_bit_and_shared_ones_stay_shared(parts):
    import torch

    before = {name: [tensor.clone() for tensor in data_of(module)] for name, module in parts.items()}
    residency = place(parts)
    for stage in ("ss_condition", "slat_condition", "mesh", "ss_condition", "slat_condition"):
        residency.enter(stage)
    assert all(map(torch.equal, data_of(parts["slat_condition_embedder"]), before["slat_condition_embedder"]))
    assert parts["ss_condition_embedder"][0] is parts["slat_condition_embedder"][0]
    assert is_there(parts["ss_condition_embedder"][0])  # shared, so it is there for both
    assert not is_there(parts["ss_condition_embedder"][1])


def test_a_shared_backbone_is_not_copied_again_between_its_users(parts):
    residency = place(parts)
    residency.enter("ss_condition")
    weight = parts["ss_condition_embedder"][0].weight
    residency.enter("slat_condition")
    assert parts["slat_condition_embedder"][0].weight is weight


def test_refresh_undoes_a_change_in_place(parts):
    import torch

    residency = place(parts)
    residency.enter("mesh")
    module = parts["slat_decoder_mesh"]
    before = module.weight.clone()
    module.weight.data = module.weight.data.half()
    residency.refresh("slat_decoder_mesh")
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, before)


def test_release_leaves_nothing(parts):
    residency = place(parts)
    residency.enter("mesh")
    residency.release()
    assert residency.resident == frozenset()
    assert not any(is_there(module) for module in parts.values())


def test_where_all_is_kept_nothing_moves(parts):
    residency = place(parts, "32gb")
    residency.enter("depth")
    kept = {name: [id(tensor) for tensor in data_of(module)] for name, module in parts.items()}
    moves = []
    residency.before_moves("slat_decoder_mesh", lambda: moves.append(1))
    for stage in ("ss_condition", "mesh", "depth"):
        residency.enter(stage)
        assert {name: [id(tensor) for tensor in data_of(module)] for name, module in parts.items()} == kept
    assert moves == []


def test_what_follows_from_weights_is_told_before_they_leave(parts):
    residency, there = place(parts, "16gb"), []
    residency.before_moves("slat_decoder_mesh", lambda: there.append(is_there(parts["slat_decoder_mesh"])))
    residency.enter("mesh")
    assert there == []
    residency.refresh("slat_decoder_mesh")
    residency.enter("depth")
    residency.release()
    assert there == [True, True]
