"""The sparse extractor gives upstream's mesh to the last bit, without its grid; layers in chunks give its features."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.usefixtures("upstream")

CORNERS = 8


# -- shapes: a resolution, the places (N, 3) of the active cubes and an sdf (N, 8) at their corners --------------------


def grid(res):
    import torch

    return torch.stack(torch.meshgrid(*[torch.arange(res)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)


def distances(places, res, generator, noise=0.3):
    """A bumpy ball's sdf at the corners, in cubes; each cube has its own idea of it, as the decoder's cubes do."""
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.representations.mesh.utils_cube import cube_corners

    point = places[:, None] + cube_corners - res / 2
    bumps = torch.sin(point[..., 0] / 2) + torch.cos(point[..., 1] / 3)
    return point.norm(dim=-1) - 0.35 * res + bumps + noise * torch.randn(point.shape[:2], generator=generator)


def shell(generator, res=32):
    sdf = distances(grid(res), res, generator)
    near = sdf.abs().amin(dim=1) < 1.5
    return res, grid(res)[near], sdf[near]


def subdivided(generator):
    """Cubes in the order of SparseSubdivide, each 8 children of the level above, which sorts by no coordinate."""
    _, coarse, _ = shell(generator, res=8)
    for _ in range(2):
        coarse = (coarse[:, None] * 2 + grid(2)).reshape(-1, 3)
    return 32, coarse, distances(coarse, 32, generator)


def shuffled(generator):
    import torch

    res, places, sdf = shell(generator)
    order = torch.randperm(len(places), generator=generator)
    return res, places[order], sdf[order]


def scattered(generator):
    import torch

    places = grid(24)[torch.rand(24**3, generator=generator) < 0.03]
    return 24, places, torch.randn(len(places), CORNERS, generator=generator)


def border(generator):
    """Only cubes with an index 0 or res - 1, the corners of the grid among them."""
    import torch

    places = grid(16)[((grid(16) == 0) | (grid(16) == 15)).any(dim=1)]
    return 16, places, torch.randn(len(places), CORNERS, generator=generator)


def noise(generator):
    """Every cube of the grid, every sign at random: all cases, ambiguous faces, also where the grid ends."""
    import torch

    return 16, grid(16), torch.randn(16**3, CORNERS, generator=generator)


def solid(_):
    """All corners of all active cubes negative: the surface is in inactive cubes only."""
    import torch

    places = grid(6) + 5
    return 16, places, torch.full((len(places), CORNERS), -0.7)


def solid_at_the_edge(_):
    """The same where the grid ends: there is no cube outside, and the mesh stays open."""
    import torch

    places = grid(6) + torch.tensor([0, 5, 10])
    return 16, places, torch.full((len(places), CORNERS), -0.7)


def one_cube(_):
    import torch

    return 16, torch.tensor([[15, 0, 7]]), torch.tensor([[-1.0] + [1.0] * 7])


SHAPES = [shell, subdivided, shuffled, scattered, border, noise, solid, solid_at_the_edge, one_cube]


# -- both extractors ---------------------------------------------------------------------------------------------------


def dense_extractor(res, use_color=True):
    from sam3d_objects.model.backbone.tdfy_dit.representations.mesh import SparseFeatures2Mesh

    return SparseFeatures2Mesh(device="cpu", res=res, use_color=use_color)


def cubes(places, sdf, channels, seed=0):
    """What the decoder hands to its extractor."""
    import torch

    feats = torch.randn(len(places), channels, generator=torch.Generator().manual_seed(seed))
    feats[:, :CORNERS] = sdf
    return SimpleNamespace(coords=torch.nn.functional.pad(places, (1, 0)).int(), feats=feats)


def both(res, places, sdf, *, use_color=True, seed=0):
    """The mesh of SparseMeshExtractor and that of upstream."""
    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor

    dense = dense_extractor(res, use_color)
    ours, theirs = (cubes(places, sdf, dense.feats_channels, seed) for _ in range(2))  # upstream changes its own
    return SparseMeshExtractor(dense)(ours), dense(theirs)


def bits(mesh):
    tensors = [mesh.vertices, mesh.faces, mesh.vertex_attrs, mesh.face_normal]
    described = [None if one is None else (tuple(one.shape), one.dtype, one.numpy().tobytes()) for one in tensors]
    return [*described, mesh.success, mesh.res]


def largest():
    """Within it, the most values in any tensor that an operation returned: `.values`, and in float32: `.floats`."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        values = floats = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.values = max(self.values, tensor.numel())
                    self.floats = max(self.floats, tensor.numel() * (tensor.dtype == torch.float32))
            return result

    return Largest()


@pytest.mark.parametrize("use_color", [True, False], ids=["color", "plain"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_mesh_equals_upstreams_bit_by_bit(shape, use_color):
    import torch

    for seed in range(2):
        ours, theirs = both(*shape(torch.Generator().manual_seed(seed)), use_color=use_color, seed=seed)
        assert bits(ours) == bits(theirs)
        assert (ours.vertex_attrs is not None) == use_color
    assert len(theirs.vertices), "an empty mesh would equal anything that is empty"


def test_many_threads_give_the_same_mesh():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ours, theirs = both(*noise(torch.Generator().manual_seed(3)))
    finally:
        torch.set_num_threads(before)
    assert bits(ours) == bits(theirs)


def test_vertices_in_many_pieces_give_the_same_mesh(monkeypatch):
    import torch

    from sam3d_bento.engines.sam3d import mesh_extraction

    monkeypatch.setattr(mesh_extraction, "VERTICES_AT_A_TIME", 100)
    ours, theirs = both(*shell(torch.Generator().manual_seed(0)))
    assert bits(ours) == bits(theirs)


def test_the_surface_runs_through_inactive_cubes():
    mesh, _ = both(*solid(None))
    outside = ((mesh.vertices < 5 / 16 - 0.5) | (mesh.vertices > 11 / 16 - 0.5)).any(dim=1)
    assert outside.all(), "every vertex lies beyond the active block"
    edges = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).sort(dim=1).values
    assert (edges.unique(dim=0, return_counts=True)[1] == 2).all(), "around it the mesh is closed"


def test_ambiguous_neighbours_swap_their_cases():
    import torch

    res, places, sdf = noise(torch.Generator().manual_seed(0))
    dense = dense_extractor(res)
    occupied = torch.zeros(256, dtype=torch.bool)
    plain_cases = []
    ask = dense.mesh_extractor._get_case_id

    def without_swaps(occ_fx8, surf_cubes, resolution):
        plain_cases.append((occ_fx8[surf_cubes] * 2 ** torch.arange(8)).sum(dim=1))
        swapped = ask(occ_fx8, surf_cubes, resolution)
        occupied[plain_cases[0]] = True
        assert 100 < (swapped != plain_cases[0]).sum() < len(swapped) / 2
        return plain_cases[0]

    dense.mesh_extractor._get_case_id = without_swaps
    unswapped = dense(cubes(places, sdf, dense.feats_channels))
    ambiguous = dense.mesh_extractor.check_table[:, 0] == 1
    assert occupied[ambiguous].all(), "all C16 and C19 configurations occur"

    ours, theirs = both(res, places, sdf)
    assert bits(ours) == bits(theirs)
    assert not torch.equal(ours.faces, unswapped.faces), "and the swap shows in the mesh"


@pytest.mark.parametrize("sdf", [0.5, 0.0, float("nan")], ids=["outside", "zero", "nan"])
def test_no_negative_corner_is_an_empty_mesh(sdf):
    import torch

    places = grid(3) + 4
    # Upstream's bias, -1 / res, makes a 0 negative.
    ours, theirs = both(16, places, torch.full((len(places), CORNERS), sdf))
    assert bits(ours) == bits(theirs)
    assert ours.success == (sdf == 0.0)
    assert (len(ours.vertices), len(ours.faces)) == (0, 0) or ours.success


def test_a_grid_full_of_matter_is_an_empty_mesh():
    import torch

    ours, theirs = both(8, grid(8), torch.full((8**3, CORNERS), -1.0))
    assert bits(ours) == bits(theirs)
    assert not ours.success


@pytest.mark.parametrize("use_color", [True, False], ids=["color", "plain"])
def test_no_cubes_are_an_empty_mesh(use_color):
    import torch

    ours, theirs = both(8, torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, CORNERS), use_color=use_color)
    assert bits(ours) == bits(theirs)
    assert not ours.success


def test_nan_features_end_where_upstreams_do():
    import torch

    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor

    res, places, sdf = shell(torch.Generator().manual_seed(0))
    dense = dense_extractor(res)
    broken = [cubes(places, sdf, dense.feats_channels) for _ in range(2)]
    for one in broken:
        one.feats[torch.rand(one.feats.shape, generator=torch.Generator().manual_seed(1)) < 0.003] = float("nan")
    ours, theirs = SparseMeshExtractor(dense)(broken[0]), dense(broken[1])
    assert torch.equal(ours.faces, theirs.faces)
    for name in ("vertices", "vertex_attrs"):
        mine = getattr(ours, name)
        assert 0 < mine.isnan().sum() < mine.numel() / 2
        torch.testing.assert_close(mine, getattr(theirs, name), rtol=0, atol=0, equal_nan=True)


def test_nothing_as_large_as_the_grid_is_made():
    import torch

    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor, without_dense_grid

    res = 128
    _, places, sdf = shell(torch.Generator().manual_seed(0), res=16)
    with largest() as seen:
        with without_dense_grid():
            extractor = SparseMeshExtractor(dense_extractor(res))
        mesh = extractor(cubes(places + 50, sdf, extractor.feats_channels))
    assert mesh.success
    assert seen.values < res**3 / 10
    held = [value for value in vars(extractor).values() if isinstance(value, torch.Tensor)]
    assert held == [], "nor is anything kept between meshes"


def test_the_features_stay_as_they_are():
    import torch

    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor

    dense = dense_extractor(16)
    features = cubes(*noise(torch.Generator().manual_seed(0))[1:], dense.feats_channels)
    before = features.feats.clone()
    SparseMeshExtractor(dense)(features)
    assert torch.equal(features.feats, before)


def test_training_is_refused():
    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor

    with pytest.raises(NotImplementedError, match="training"):
        SparseMeshExtractor(dense_extractor(8))(None, training=True)


# -- construction ------------------------------------------------------------------------------------------------------


def test_without_dense_grid_allocates_nothing_and_ends():
    from sam3d_objects.model.backbone.tdfy_dit.representations.mesh import cube2mesh, utils_cube

    from sam3d_bento.engines.sam3d.mesh_extraction import without_dense_grid

    with without_dense_grid(), largest() as seen:
        extractor = dense_extractor(256)
    assert seen.values < 10_000  # FlexiCubes' tables
    assert extractor.reg_c.numel() == extractor.reg_v.numel() == 0
    assert cube2mesh.construct_dense_grid is utils_cube.construct_dense_grid
    with pytest.raises(KeyError), without_dense_grid():
        raise KeyError
    assert cube2mesh.construct_dense_grid is utils_cube.construct_dense_grid
    assert len(dense_extractor(4).reg_c) == 4**3


# -- the decoder -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoder(upstream):
    """Upstream's mesh decoder, small, for a grid of 32³; its last layers have 2 to 16 channels in a group."""
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.models.structured_latent_vae.decoder_mesh import SLatMeshDecoder

    torch.manual_seed(0)
    settings = {"resolution": 8, "model_channels": 512, "latent_channels": 8, "num_blocks": 1, "num_heads": 4}
    made = SLatMeshDecoder(**settings, representation_config={"use_color": True}, device="cpu").eval()
    for name, parameter in made.named_parameters():
        if name.startswith(("upsample", "out_layer")):  # upstream starts some at zero, norms at one
            torch.nn.init.normal_(parameter, std=0.1)
    return made.requires_grad_(False)


def latents(objects=1):
    """(N, 8) features on a few voxels per object, of differing number."""
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor

    generator = torch.Generator().manual_seed(0)
    places = [torch.nn.functional.pad(grid(8)[100 : 118 + 5 * i], (1, 0), value=i).int() for i in range(objects)]
    coords = torch.cat(places)
    return SparseTensor(feats=torch.randn(len(coords), 8, generator=generator), coords=coords)


def received(decoder, monkeypatch, objects=1):
    """What the decoder hands to its extractor, object by object."""
    given = []
    monkeypatch.setattr(decoder, "mesh_extractor", lambda x, training: given.append(x))
    decoder(latents(objects))
    monkeypatch.undo()
    return given


def overridden(decoder):
    return [module for module in decoder.modules() if {"forward", "to_representation"} & set(vars(module))]


def test_the_decoder_takes_it_in_place_of_its_own(decoder, monkeypatch):
    from sam3d_bento.engines.sam3d.mesh_extraction import SparseMeshExtractor

    expected = decoder(latents(objects=2))
    monkeypatch.setattr(decoder, "mesh_extractor", SparseMeshExtractor(decoder.mesh_extractor))
    assert decoder.mesh_extractor.feats_channels == decoder.out_channels
    assert [bits(mesh) for mesh in decoder(latents(objects=2))] == [bits(mesh) for mesh in expected]
    assert all(mesh.success for mesh in expected)


@pytest.mark.parametrize("rows", [1, 37, 10**6])
@pytest.mark.parametrize("objects", [1, 2])
def test_a_norm_in_chunks_equals_upstreams(decoder, rows, objects):
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor

    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    norm = decoder.upsample[1].out_layers[1]
    coords = latents(objects).coords.repeat_interleave(5, dim=0)
    feats = 3 + 0.5 * torch.randn(len(coords), norm.num_channels, generator=torch.Generator().manual_seed(0))
    x = SparseTensor(feats=feats * torch.arange(1, norm.num_channels + 1) / 50, coords=coords)
    expected = norm(x)
    with in_chunks(decoder, rows):
        result = norm(x)
        halved = norm(x.half())
    assert (result.feats - expected.feats).abs().max() < 1e-5
    assert torch.equal(result.coords, expected.coords)
    assert halved.feats.dtype == torch.float16
    assert (halved.feats - norm(x.half()).feats).abs().max() < 2e-3  # a bit of float16
    assert torch.equal(x.feats, feats * torch.arange(1, norm.num_channels + 1) / 50), "its input is not changed"


def test_a_large_mean_does_not_spoil_the_variance(decoder):
    """float64 is the judge: upstream's own float32 is no better than this."""
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor
    from torch.nn.functional import group_norm

    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    norm = decoder.upsample[1].out_layers[1]
    coords = latents().coords.repeat_interleave(500, dim=0)
    feats = 100 + torch.randn(len(coords), norm.num_channels, generator=torch.Generator().manual_seed(0))
    exact = group_norm(feats.double().T[None], norm.num_groups, norm.weight.double(), norm.bias.double(), norm.eps)
    with in_chunks(decoder, 1000):
        result = norm(SparseTensor(feats=feats, coords=coords))
    assert (result.feats - exact[0].T).abs().max() < 1e-5


def test_a_norm_in_chunks_holds_few_rows_in_float32(decoder):
    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    norm = decoder.upsample[0].act_layers[0]
    x = latents()
    x = x.replace(x.feats.repeat(1, norm.num_channels // 8).half())
    with in_chunks(decoder, 5), largest() as seen:
        norm(x)
    assert 0 < seen.floats <= 5 * norm.num_channels
    with largest() as seen:
        norm(x)
    assert seen.floats == len(x.feats) * norm.num_channels, "upstream: all of them"


@pytest.mark.parametrize("objects", [1, 2])
def test_the_extractor_receives_the_same_features(decoder, monkeypatch, objects):
    import torch

    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    expected = received(decoder, monkeypatch, objects)
    with in_chunks(decoder, 100):
        given = received(decoder, monkeypatch, objects)
    assert len(given) == objects
    for mine, theirs in zip(given, expected, strict=True):
        assert torch.equal(mine.coords, theirs.coords)
        assert (mine.feats - theirs.feats).abs().max() < 1e-5 * theirs.feats.abs().max()


def test_one_objects_features_are_not_copied(decoder, monkeypatch):
    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    made = []
    hook = decoder.out_layer.register_forward_hook(lambda layer, args, output: made.append(output.feats.data_ptr()))
    try:
        with in_chunks(decoder, 100):
            given = received(decoder, monkeypatch)
    finally:
        hook.remove()
    assert [one.feats.data_ptr() for one in given] == made


def test_afterwards_the_decoder_is_as_before(decoder):
    from sam3d_bento.engines.sam3d.mesh_extraction import in_chunks

    assert overridden(decoder) == []
    with in_chunks(decoder, 3):
        assert len(overridden(decoder)) == 5, "two norms in each of two blocks, and the decoder itself"
        with in_chunks(decoder, 4):
            inner = vars(decoder.upsample[0].act_layers[0])["forward"]
        assert vars(decoder.upsample[0].act_layers[0])["forward"] is not inner, "the outer one's again"
    assert overridden(decoder) == []
    with pytest.raises(KeyError), in_chunks(decoder, 3):
        raise KeyError
    assert overridden(decoder) == []
