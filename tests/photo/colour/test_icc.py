import struct

import pytest
from PIL import ImageCms

from sam3d_bento.photo.colour import icc
from sam3d_bento.photo.colour.icc import hdr_space, usable
from sam3d_bento.photo.colour.spaces import BT2020, ColourSpace
from sam3d_bento.photo.colour.transfer import Curve, Transfer

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_profile_is_used_for_its_own_colours_alone():
    assert usable(SRGB, ("RGB",)) is not None
    assert usable(SRGB, ("GRAY", "RGB")) is not None
    assert usable(SRGB, ("CMYK",)) is None
    assert usable(SRGB, ()) is None


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all",
        SRGB[:200],
        SRGB[:16] + b"RGB\xff" + SRGB[20:],
        SRGB + bytes(icc.MAX_PROFILE_BYTES),
        None,
    ],
    ids=["empty", "garbage", "cut", "not ASCII", "huge", "none"],
)
def test_invalid_profile_is_none(profile):
    assert usable(profile, ("RGB",)) is None
    assert hdr_space(profile) is None


def with_cicp(*values):
    tag = b"cicp" + bytes(4) + bytes(values)
    count = struct.unpack(">I", SRGB[128:132])[0]
    table = SRGB[132 : 132 + 12 * count]
    entry = struct.pack(">4sII", b"cicp", len(SRGB) + 12, len(tag))
    return SRGB[:128] + struct.pack(">I", count + 1) + table + entry + SRGB[132 + 12 * count :] + tag


@pytest.mark.parametrize(("transfer", "curve"), [(16, Curve.PQ), (18, Curve.HLG)])
def test_an_hdr_profile_is_known_by_its_tag(transfer, curve):
    assert hdr_space(with_cicp(9, transfer, 0, 1)) == ColourSpace(BT2020, Transfer(curve))


def test_other_profiles_with_the_tag_are_left_to_the_library():
    assert hdr_space(SRGB) is None
    assert hdr_space(with_cicp(12, 13, 0, 1)) is None
    assert hdr_space(with_cicp(9, 16)) is None
