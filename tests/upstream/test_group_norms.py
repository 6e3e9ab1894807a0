"""Group norms of the depth model: torch's own results."""

import pytest

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_moments_of_channels_give_torchs_group_norm(groups):
    import torch

    from sam3d_bento.engines.sam3d.group_norms import use_channel_moments

    torch.manual_seed(0)
    norm = torch.nn.GroupNorm(groups, 12)
    norm.weight.data.uniform_(0.5, 1.5)
    norm.bias.data.normal_()
    x = torch.randn(2, 12, 7, 5) * 3 + torch.randn(12, 1, 1) * 10
    expected = norm(x)
    model = torch.nn.Sequential(norm, torch.nn.SiLU())
    use_channel_moments(model)
    found = norm(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert norm(x.half()).dtype == torch.float32  # as under autocast
