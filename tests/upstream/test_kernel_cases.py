"""The cases that are compiled ahead are all that the released networks launch."""

import pytest

pytestmark = pytest.mark.usefixtures("upstream")


def form(kernel, grid, args, options):
    """What a kernel is specialised on: dtypes, constants and options, never numbers of rows."""
    import torch

    tensors = [getattr(arg, "base", arg) for arg in args]  # a descriptor's tensor, or the argument itself
    dtypes = tuple(tensor.dtype for tensor in tensors if torch.is_tensor(tensor))
    return kernel.fn.__name__, dtypes, tuple(sorted(options.items()))


def launched(run):
    """The forms of all kernels that `run` would launch."""
    from sam3d_bento.engines.sam3d.kernels.launching import instead

    forms = set()
    with instead(lambda *launch: forms.add(form(*launch))):
        run()
    return forms


@pytest.fixture(scope="module", params=[80, 90])
def known(upstream, request):
    """The forms of the cases, on a GPU without bulk copies and on one with them."""
    pytest.importorskip("triton")
    from sam3d_bento.engines.sam3d.kernels import triton_operations
    from sam3d_bento.engines.sam3d.kernels.cases import cases

    before = triton_operations._has_bulk_copies
    triton_operations._has_bulk_copies = lambda: request.param == 90
    yield launched(lambda: [case.run(triton_operations) for case in cases("cpu")])
    triton_operations._has_bulk_copies = before


def released(part, **less):
    """A released network with its widths, but fewer blocks, in the precision that it has on a GPU."""
    import copy

    import torch
    from hydra.utils import instantiate

    from sam3d_bento.engines.sam3d.memory.architecture import RELEASED

    config = copy.deepcopy(dict(RELEASED[part]))
    network = config["reverse_fn"]["backbone"] if "reverse_fn" in config else config
    network.update(num_blocks=2, **less)
    torch.manual_seed(0)
    return instantiate(config).eval().requires_grad_(False)


@pytest.mark.parametrize("guided", [True, False])
def test_the_first_generator(known, guided):
    import torch

    from sam3d_bento.engines.sam3d.fused.dense import DenseNetwork
    from sam3d_bento.engines.sam3d.kernels import triton_operations
    from sam3d_bento.engines.sam3d.loading import precision

    generator = released("ss_generator")
    precision.cast_beforehand(generator, torch.float16)
    network = generator.reverse_fn.backbone
    fused = DenseNetwork(network, triton_operations)
    sample = {
        name: torch.randn(1, latent.pos_emb.shape[0], latent.input_layer.in_features)
        for name, latent in network.latent_mapping.items()
    }

    def run():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
            fused.build(torch.randn(1, 9, 1024), torch.zeros(3), 3, torch.zeros(1))
            fused(sample, torch.zeros(1, dtype=torch.int64), guided)

    found = launched(run)
    assert len(found) >= 6
    assert found <= known


@pytest.mark.parametrize("guided", [True, False])
def test_the_second_generator(known, guided):
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor

    from sam3d_bento.engines.sam3d.fused.sparse import SparseNetwork
    from sam3d_bento.engines.sam3d.kernels import triton_operations

    fused = SparseNetwork(released("slat_generator").reverse_fn.backbone, triton_operations)
    cells = torch.cartesian_prod(torch.zeros(1), *3 * [torch.arange(4.0)]).int()

    def run():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
            places = SparseTensor(feats=torch.zeros(64, 8), coords=cells)
            fused.build(places, torch.randn(1, 9, 1024), torch.zeros(3), 3)
            fused(torch.randn(1, 64, 8), torch.zeros(1, dtype=torch.int64), guided)

    found = launched(run)
    assert len(found) >= 10
    assert found <= known


def test_the_mesh_decoder(known):
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor

    from sam3d_bento.engines.sam3d import mesh_extraction
    from sam3d_bento.engines.sam3d.fused.mesh import Upsampling
    from sam3d_bento.engines.sam3d.kernels import triton_operations

    with mesh_extraction.without_dense_grid():
        decoder = released("slat_decoder_mesh", device="cpu")
    upsampling = Upsampling(decoder, triton_operations)
    cells = torch.cartesian_prod(torch.zeros(1), *3 * [torch.arange(3.0)]).int()

    def run():
        with torch.no_grad(), upsampling.applied():
            x = SparseTensor(feats=torch.randn(27, 768).half(), coords=cells)
            for block in decoder.upsample:
                x = block(x)

    found = launched(run)
    assert len(found) >= 10
    assert found <= known
