"""A photo is prepared as by upstream, where torch's own steps are slow."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("upstream")


def test_a_photo_as_floats_is_upstreams_for_every_byte():
    from sam3d_bento.engines.sam3d.preparation import as_floats

    image = np.arange(256, dtype=np.uint8).reshape(16, 4, 4)
    floats = as_floats(image, page_locked=False)
    assert floats.dtype == np.float32
    assert np.array_equal(floats, (image / 255).astype(np.float32))
    assert floats.transpose(2, 0, 1).flags.c_contiguous


@pytest.mark.parametrize("missing", [0, 1, 4, 7])
def test_medians_by_sorting_are_torchs(missing):
    import torch

    from sam3d_bento.engines.sam3d.preparation import MediansBySorting

    torch.manual_seed(0)
    for count in (7, 8):
        points = torch.randn(3, count)
        points[:, torch.randperm(count)[:missing]] = torch.nan
        points[1] = points[1].round()  # several equal ones
        expected, of_all = points.nanmedian(dim=-1), points.nanmedian()
        with MediansBySorting():
            found, found_of_all = points.nanmedian(dim=-1), points.nanmedian()
        assert torch.equal(found.values.nan_to_num(9), expected.values.nan_to_num(9))
        assert torch.equal(found_of_all.nan_to_num(9), of_all.nan_to_num(9))
        there = points.gather(1, found.indices[:, None])[:, 0]
        assert torch.equal(there.nan_to_num(9), expected.values.nan_to_num(9))


def test_position_embeddings_of_a_size_are_computed_once():
    import torch
    from moge.model.dinov2.hub.backbones import dinov2_vits14

    from sam3d_bento.engines.sam3d.preparation import KEPT_SIZES, keep_position_embeddings

    backbone = dinov2_vits14(pretrained=False).eval()
    sizes = [(14 * edge, 28) for edge in range(1, KEPT_SIZES + 2)]
    tokens = [torch.zeros(1, 1 + 2 * edge // 14, 384) for edge, _ in sizes]
    expected = [backbone.interpolate_pos_encoding(x, *size) for x, size in zip(tokens, sizes, strict=True)]
    drop = keep_position_embeddings(backbone)
    found = [backbone.interpolate_pos_encoding(x, *size) for x, size in zip(tokens, sizes, strict=True)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert backbone.interpolate_pos_encoding(tokens[-1], *sizes[-1]) is found[-1]
    assert backbone.interpolate_pos_encoding(tokens[0], *sizes[0]) is not found[0]  # only the last few are kept
    drop()
    assert backbone.interpolate_pos_encoding(tokens[-1], *sizes[-1]) is not found[-1]
