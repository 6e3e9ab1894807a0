"""The generators' networks as a GPU runs them, on the CPU: against upstream's own calls, and what is left of them."""

import numpy as np
import pytest

from tests.support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture(scope="module")
def networks(upstream):
    """Of both generators: (network, arguments of a call that differ from step to step)."""
    import torch
    from hydra.utils import instantiate

    from tests.support import tiny

    torch.manual_seed(0)
    made = {}
    for name, config in (("dense", tiny.ss_generator()), ("sparse", tiny.slat_generator(half=False))):
        made[name] = instantiate(config["module"]["generator"]["backbone"]["reverse_fn"]["backbone"]).eval()
        tiny.fill_zeros(made[name])
    return made


def sample(name, network):
    import torch

    if name == "sparse":
        return torch.randn(1, 60, 8)
    return {
        key: torch.randn(1, latent.pos_emb.shape[0], latent.input_layer.in_features)
        for key, latent in network.latent_mapping.items()
    }


def places():
    """(60, 4) int32, as sample_slat passes them."""
    cells = np.random.default_rng(1).choice(8**3, 60, replace=False)
    return np.stack([np.zeros(60, int), *np.unravel_index(np.sort(cells), (8, 8, 8))], -1).astype(np.int32)


def call(name, network, x, time, tokens, **guidance):
    import torch

    if name == "sparse":
        return network(x, torch.tensor(time), tokens, places(), **guidance)
    return network(x, torch.tensor([time]), tokens, d=torch.tensor([0.0]), **guidance)


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_replayed_steps_are_upstreams_bit_for_bit(networks, name):
    import torch
    from torch.utils._pytree import tree_leaves

    from sam3d_bento.engines.sam3d import sampling

    network, recorder, tokens = networks[name], Recorder(), torch.randn(1, 12, 32)
    steps = [(sample(name, network), time) for time in (0.0, 300.0, 700.0)]
    with torch.no_grad():
        expected = [call(name, network, *step, tokens) for step in steps]
        with getattr(sampling, name)(network, lambda: recorder):
            results = [call(name, network, *step, tokens) for step in steps]
    assert recorder.replays == 2
    assert all(map(torch.equal, tree_leaves(results), tree_leaves(expected)))


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_without_the_condition_one_token_stands_for_all(networks, name):
    """Of zeros all: each attends to itself, and the mean of equal values is that value, but for rounding."""
    import torch
    from torch.utils._pytree import tree_leaves

    from sam3d_bento.engines.sam3d import sampling

    network, recorder, tokens = networks[name], Recorder(), torch.randn(1, 1000, 32)
    x = sample(name, network)
    with torch.no_grad():
        expected = call(name, network, x, 300.0, tokens, cfg=True)
        conditioned = call(name, network, x, 300.0, tokens)
        with getattr(sampling, name)(network, lambda: recorder):
            results = [call(name, network, x, 300.0, tokens, **how) for how in 3 * [{"cfg": True}, {}]]
    assert recorder.recorded == 2
    for result in results[::2]:
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    assert all(map(torch.equal, tree_leaves(results[1::2]), tree_leaves([conditioned] * 3)))


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_a_solve_that_is_broken_off_leaves_the_network_as_it_was(networks, name):
    from sam3d_bento.engines.sam3d import sampling

    network = networks[name]
    before = {module: dict(vars(module)) for module in network.modules()}

    class Euler:
        def solve_iter(self, dynamics, start, times):
            yield from times[1:]

    class Stop(Exception):
        pass

    def report(done):
        assert "forward" in vars(network)
        if done > 0.5:
            raise Stop

    solver = sampling.WatchedSolver(Euler(), report, lambda: getattr(sampling, name)(network, Recorder))
    with pytest.raises(Stop):
        list(solver.solve_iter(None, None, [0, 1, 2, 3]))
    assert {module: dict(vars(module)) for module in network.modules()} == before


def test_each_object_has_its_own_places(networks):
    """The second solve of a process is for other voxels than the first."""
    import torch

    from sam3d_bento.engines.sam3d import sampling

    network, tokens = networks["sparse"], torch.randn(1, 12, 32)
    for edge in (8, 12):
        x, coords = torch.randn(1, 60, 8), places()
        coords[:, 1:] = coords[:, 1:] * edge // 8
        with torch.no_grad():
            expected = network(x, torch.tensor(5.0), tokens, coords)
            with sampling.sparse(network, Recorder):
                results = [network(x, torch.tensor(5.0), tokens, coords) for _ in range(3)]
        assert all(torch.equal(result, expected) for result in results)
