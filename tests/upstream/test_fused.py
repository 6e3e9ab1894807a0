"""The fused networks and their solver against upstream's own generators: the same samples, float32, tiny weights."""

import copy

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("upstream")

NAMES = ["dense", "sparse"]
TOLERANCE = 1e-5


class Recorder:
    """Stands for CudaRecorder where nothing records: what is recorded is not called, and a replay calls it."""

    def __init__(self):
        self.recorded = self.replays = 0

    def __call__(self, function):
        self.recorded += 1

        def replay():
            self.replays += 1
            function()

        return None, replay


@pytest.fixture(scope="module")
def made(upstream):
    """Both generators with random gammas, so that a norm that is left out shows."""
    import torch
    from hydra.utils import instantiate

    from tests.support import tiny

    torch.manual_seed(0)
    generators = {}
    for name, config in (("dense", tiny.ss_generator()), ("sparse", tiny.slat_generator(half=False))):
        node = config["module"]["generator"]["backbone"]
        network = node["reverse_fn"]["backbone"]
        network["num_blocks"] = 2
        if name == "dense":
            network["latent_mapping"]["shape"]["pos_embedder"]["resolution"] = 4  # 64 tokens instead of 4,096
        generators[name] = generator = instantiate(node).eval().requires_grad_(False)
        tiny.fill_zeros(generator)
        for parameter in (p for key, p in generator.named_parameters() if "gamma" in key or "norm2.weight" in key):
            parameter.uniform_(0.5, 1.5)
        generator.inference_steps = 4
        generator.reverse_fn.interval = [0, 500]
        generator.reverse_fn.strength = 2.0
    generators["dense"].no_shortcut = True
    return generators


@pytest.fixture
def generators(made):
    return {name: copy.deepcopy(generator) for name, generator in made.items()}


def given(name, generator, seed=1, edge=8):
    """The arguments of a generator's call."""
    import torch

    torch.manual_seed(seed)
    tokens = torch.randn(1, 12, 32)
    if name == "sparse":
        cells = np.random.default_rng(seed).choice(edge**3, 60, replace=False)
        places = np.stack([np.zeros(60, int), *np.unravel_index(np.sort(cells), (edge, edge, edge))], -1)
        return (1, 60, 8), torch.device("cpu"), tokens, places.astype(np.int32)
    shapes = {
        key: (1, latent.pos_emb.shape[0], latent.input_layer.in_features)
        for key, latent in generator.reverse_fn.backbone.latent_mapping.items()
    }
    return shapes, torch.device("cpu"), tokens


def sampled(generator, arguments):
    import torch

    torch.manual_seed(3)
    with torch.no_grad():
        return generator(*arguments)


def fuse(name, generator, on_progress=lambda done: None, recorder=None, keep=False, operations=None):
    """Put a fused solver into the generator, and return it."""
    from sam3d_bento.engines.sam3d.fused.dense import DenseNetwork
    from sam3d_bento.engines.sam3d.fused.solver import DenseSolve, Solver, SparseSolve
    from sam3d_bento.engines.sam3d.fused.sparse import SparseNetwork
    from sam3d_bento.engines.sam3d.kernels import reference

    network, operations = generator.reverse_fn.backbone, operations or reference
    if name == "dense":
        solve = DenseSolve(DenseNetwork(network, operations), generator.time_scale)
    else:
        solve = SparseSolve(SparseNetwork(network, operations))
    generator._solver = Solver(generator, solve, on_progress, recorder, lambda: keep)
    return generator._solver


def assert_close(found, expected):
    import torch
    from torch.utils._pytree import tree_leaves

    for one, other in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("guidance", [[0, 500], [0, 1000], None])
@pytest.mark.parametrize("name", NAMES)
def test_samples_are_upstreams(generators, name, guidance):
    generator = generators[name]
    generator.reverse_fn.interval = guidance
    arguments = given(name, generator)
    expected = sampled(generator, arguments)
    fuse(name, generator)
    assert_close(sampled(generator, arguments), expected)


def test_a_distilled_solve_is_upstreams(generators):
    """The few steps of a draft: the network is told how much time a step spans, and nothing is guided."""
    generator = generators["dense"]
    generator.no_shortcut, generator.reverse_fn.strength = False, 0
    arguments = given("dense", generator)
    expected = sampled(generator, arguments)
    fuse("dense", generator)
    assert_close(sampled(generator, arguments), expected)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_each_photo_and_object_has_its_own_result(generators, name, keep):
    """Recordings and buffers of an earlier solve are kept or not; nothing of its photo or its places is."""
    generator = generators[name]
    several = [given(name, generator, seed, edge) for seed, edge in ((1, 8), (2, 12), (3, 8))]
    expected = [sampled(generator, arguments) for arguments in several]
    recorder = Recorder()
    fuse(name, generator, recorder=lambda: recorder, keep=keep and name == "dense")
    results = [sampled(generator, arguments) for arguments in several]
    for result, upstreams in zip(results, expected, strict=True):
        assert_close(result, upstreams)
    # Three steps with guidance and one without. The first step of a kind in a process, and the first one of a solve
    # that has no recording yet, are made without. A kind that has not run yet cannot be recorded.
    kept = keep and name == "dense"
    assert recorder.recorded == (1 + 1 + 0 if kept else 1 + 2 + 2)
    assert recorder.replays == (2 + 4 + 4 if kept else 2 + 3 + 3)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_after_a_solve_that_may_not_keep(generators, name):
    import torch

    generator = generators[name]
    before = sum(tensors_of(generator))
    solver = fuse(name, generator, recorder=Recorder)
    sampled(generator, given(name, generator))
    assert sum(tensors_of(generator)) == before
    assert solver._sample is None
    assert solver._recording is None
    for owner in (solver._network, *vars(solver._network._network).values()):
        parts = owner if isinstance(owner, list) else [owner]
        held = [key for part in parts for key, value in getattr(part, "__dict__", {}).items() if torch.is_tensor(value)]
        assert held == []


def tensors_of(generator):
    return (tensor.numel() for tensor in (*generator.parameters(), *generator.buffers()))


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_told_and_a_cancelled_solve_ends_with_its_step(generators, name):
    generator, told = generators[name], []
    expected = sampled(generator, given(name, generator))

    class Cancelled(Exception):
        pass

    def tell(done):
        told.append(done)
        if cancel and done == 0.5:
            raise Cancelled

    cancel = True
    fuse(name, generator, tell)
    with pytest.raises(Cancelled):
        sampled(generator, given(name, generator))
    assert told == [0.25, 0.5]
    cancel = False
    assert_close(sampled(generator, given(name, generator)), expected)
    assert told[2:] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", NAMES)
def test_steps_that_cannot_be_recorded_are_made_without(generators, name, caplog):
    generator = generators[name]
    expected = sampled(generator, given(name, generator))

    def refuse(function):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    fuse(name, generator, recorder=lambda: refuse, keep=name == "dense")
    assert_close(sampled(generator, given(name, generator)), expected)
    assert [record.getMessage() for record in caplog.records] == [
        "sampling steps cannot be recorded and take longer: operation not permitted when stream is capturing"
    ]


def without_spconv(generator):
    import torch

    generator.reverse_fn.backbone.input_blocks[0].conv1.conv = torch.nn.Identity()


OTHERS = {
    "the streams": ("dense", lambda generator: generator.reverse_fn.backbone.latent_names.append("more")),
    "force_zeros_cond": (None, lambda generator: setattr(generator.reverse_fn.backbone, "force_zeros_cond", False)),
    "no Euler": (None, lambda generator: setattr(generator, "_solver", object())),
    "other guidance": (None, lambda generator: setattr(generator.reverse_fn, "unconditional_handling", "zeros")),
    "two strengths": (None, lambda generator: setattr(generator.reverse_fn, "strength", {"shape": 1.0})),
    "a convolution of another package": ("sparse", without_spconv),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_generator_of_another_form_is_not_fused(generators, name, other):
    from sam3d_bento.engines.sam3d.fused.transformer import Unsupported

    of, change = OTHERS[other]
    if of not in (None, name):
        pytest.skip("not part of this generator")
    change(generators[name])
    with pytest.raises(Unsupported):
        fuse(name, generators[name])


@pytest.mark.parametrize(("gamma", "bounded"), [(1.0, True), (1.9, True), (2.5, False)])
def test_scores_are_bounded_by_the_gammas(generators, gamma, bounded):
    """16 channels a head: scores are at most 4 gamma²; here the gammas of the keys are 1.45."""
    import torch

    from sam3d_bento.engines.sam3d.fused.sparse import SparseNetwork
    from sam3d_bento.engines.sam3d.fused.transformer import MOST_SCORE
    from sam3d_bento.engines.sam3d.kernels import reference

    network = generators["sparse"].reverse_fn.backbone
    attention = network.blocks[0].self_attn
    attention.q_rms_norm.gamma.fill_(gamma)
    attention.k_rms_norm.gamma.fill_(-1.4)
    assert SparseNetwork(network, reference)._streams[0].bounded == bounded
    rows = torch.randn(500, 2, 16)
    queries = attention.q_rms_norm(rows)
    keys = attention.k_rms_norm(rows)
    reached = ((queries * keys).sum(-1).abs().max() / 4).item()
    assert (reached <= MOST_SCORE) == bounded  # the query meets its own key: the bound is reached
