import io

import numpy as np
import pytest
import skimage.data
from PIL import ExifTags, Image, ImageDraw
from scipy import ndimage

from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo.images import decode
from sam3d_bento.photo.masks import clean, isolate, to_png
from sam3d_bento.reconstruction import Mask, Photo
from sam3d_bento.warning_codes import WarningCode

BACKGROUND, RED, BLUE = (200, 200, 205), (180, 40, 30), (30, 60, 180)


def photo_of(picture, alpha=None):
    """A Photo of an array (H, W) or (H, W, 3)."""
    rgb = np.asarray(picture, np.uint8)
    rgb = np.repeat(rgb[..., None], 3, axis=2) if rgb.ndim == 2 else rgb
    return Photo(rgb=rgb, alpha=alpha, original_size=rgb.shape[1::-1])


def drawing(*ellipses, size=(512, 512)):
    """A studio photo: each ellipse is (box, colour)."""
    image = Image.new("RGB", size, BACKGROUND)
    for box, colour in ellipses:
        ImageDraw.Draw(image).ellipse(box, fill=colour)
    return photo_of(image)


def disc(size=512, radius=120, centre=None):
    y, x = np.mgrid[:size, :size]
    cy, cx = centre or (size // 2, size // 2)
    return (x - cx) ** 2 + (y - cy) ** 2 < radius**2


def soft_of(pixels):
    return pixels.astype(np.uint8) * np.uint8(255)


# --- what rembg finds


def test_an_ordinary_photo_gives_its_object(mask_model):
    mask = isolate(photo_of(skimage.data.coffee()), None, mask_model)
    assert mask.source == "rembg"
    assert mask.pixels.shape == (400, 600)
    assert mask.pixels.dtype == bool
    assert mask.coverage == mask.pixels.mean()
    assert 0.4 < mask.coverage < 0.55  # cup and saucer
    assert mask.pixels[140, 280]  # the coffee
    assert not mask.pixels[[20, 20, 380, 380], [20, 580, 20, 580]].any()  # the table
    assert mask.warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camera", "astronaut", "chelsea"])
def test_an_object_that_goes_on_beyond_the_photo_is_noted(name, mask_model):
    mask = isolate(photo_of(getattr(skimage.data, name)()), None, mask_model)
    assert mask.warnings == (WarningCode.CUT_BY_FRAME,)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["horse", "rocket", "cell"])
def test_an_object_inside_the_photo_is_whole(name, mask_model):
    picture = getattr(skimage.data, name)()
    picture = soft_of(picture) if picture.dtype == bool else picture
    assert isolate(photo_of(picture), None, mask_model).warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brick", "gravel", "moon", "text"])
def test_a_texture_is_no_object(name, mask_model):
    with pytest.raises(NoObject, match="send a mask"):
        isolate(photo_of(getattr(skimage.data, name)()), None, mask_model)


@pytest.mark.slow
@pytest.mark.parametrize(("level", "size"), [(0, (384, 512)), (128, (1500, 2048)), (255, (16, 16))])
def test_an_empty_frame_has_no_object(level, size, mask_model):
    with pytest.raises(NoObject):
        isolate(photo_of(np.full(size, level)), None, mask_model)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [10, 300])
def test_noise_has_no_object(spread, mask_model):
    noise = np.random.default_rng(3).normal(128, spread, (384, 512, 3))
    with pytest.raises(NoObject):
        isolate(photo_of(noise.clip(0, 255)), None, mask_model)


def test_a_hole_stays_a_hole(mask_model):
    ring = drawing(((80, 80, 430, 430), RED), ((180, 180, 330, 330), BACKGROUND))
    mask = isolate(ring, None, mask_model)
    expected = disc(radius=175, centre=(255, 255)) & ~disc(radius=75, centre=(255, 255))
    assert (mask.pixels & expected).sum() / (mask.pixels | expected).sum() > 0.95
    assert not mask.pixels[255, 255]


def test_of_two_objects_the_larger_is_kept_and_said(mask_model):
    mask = isolate(drawing(((40, 160, 240, 360), RED), ((320, 200, 450, 330), BLUE)), None, mask_model)
    assert mask.warnings == (WarningCode.SEVERAL_OBJECTS,)
    assert mask.pixels[260, 140]
    assert not mask.pixels[:, 300:].any()


def test_two_that_touch_are_one_model_and_said():
    soft = soft_of(disc(centre=(256, 140)) | disc(centre=(256, 370)))
    mask = isolate(photo_of(np.zeros((512, 512))), None, Answers(soft))
    assert mask.warnings == (WarningCode.OBJECTS_TOUCH,)
    assert mask.pixels[256, [140, 370]].all()
    assert isolate(photo_of(np.zeros((512, 512))), photo_of(soft), None).warnings == (), "this mask was wished for"


def test_a_weak_limb_belongs_to_the_object_and_does_not_lessen_its_certainty():
    limb = np.zeros((512, 512), bool)
    limb[200:310, 256:500] = True
    soft = np.where(disc(), 255, np.where(limb, 70, 0)).astype(np.uint8)
    mask = isolate(photo_of(np.zeros((512, 512))), None, Answers(soft))
    assert mask.pixels[250, 480]


def test_an_object_cut_in_half_is_noted(mask_model):
    mask = isolate(drawing(((-150, 130, 200, 400), RED)), None, mask_model)
    assert mask.warnings == (WarningCode.CUT_BY_FRAME,)
    assert mask.pixels[260, 0]


# --- refusals that u2netp gives no example for


class Answers:
    """A model with a given answer."""

    def __init__(self, soft):
        self.soft = soft

    def soft_mask(self, rgb):
        return self.soft


def test_an_object_that_fills_the_frame_is_refused():
    full = np.full((300, 300), 255, np.uint8)
    window = full.copy()
    window[40:260, 40:260] = 0
    for soft in (full, window):
        with pytest.raises(NoObject, match="whole frame"):
            isolate(photo_of(soft), None, Answers(soft))


def test_an_unsure_answer_is_refused():
    with pytest.raises(NoObject, match="not clear"):
        isolate(photo_of(np.zeros((512, 512))), None, Answers(disc().astype(np.uint8) * np.uint8(180)))


# --- cleaning


def test_pinholes_are_filled_and_handles_stay_open():
    pixels = disc(radius=200)
    holes = pixels.copy()
    holes[250:255, 250:255] = False
    with_handle = holes.copy()
    with_handle[150:180, 150:180] = False
    assert np.array_equal(clean(soft_of(holes))[0], clean(soft_of(pixels))[0])
    assert not clean(soft_of(with_handle))[0][152:178, 152:178].any()


def test_specks_vanish_without_a_word():
    pixels = disc()
    pixels[20:40, 20:40] = True
    cleaned, others = clean(soft_of(pixels))
    assert np.array_equal(cleaned, clean(soft_of(disc()))[0])
    assert not others.any()


def test_threads_are_cut():
    pixels = disc()
    pixels[256, :] = True
    cleaned, _ = clean(soft_of(pixels))
    assert not cleaned[:, :130].any()
    assert not cleaned[:, 382:].any()


def test_parts_that_nearly_touch_are_one_object_and_distant_ones_are_not():
    large = disc(1024, 150, centre=(512, 300))
    near = large | disc(1024, 100, centre=(512, 565))  # 15 pixels away
    far = large | disc(1024, 100, centre=(512, 600))  # 50 pixels
    cleaned, others = clean(soft_of(near))
    assert cleaned.sum() > 0.99 * near.sum()
    assert not others.any()
    cleaned, others = clean(soft_of(far))
    assert np.array_equal(cleaned, clean(soft_of(large))[0])
    assert np.array_equal(others, ndimage.binary_opening(far & ~large))


def test_corners_and_the_frame_do_not_change_the_outline():
    rounded = np.zeros((600, 600), bool)
    rounded[100:500, 100:500] = True
    for y in (100, 499):  # cut corners: small areas of background in the corners of the bounding box
        for x in (100, 499):
            rounded &= ~disc(600, 9, (y, x))
    assert np.array_equal(clean(soft_of(rounded))[0], ndimage.binary_opening(rounded))
    cut = np.zeros((600, 600), bool)
    cut[300:, 200:400] = True
    assert clean(soft_of(cut))[0][599, 205:395].all()


@pytest.mark.parametrize("seed", range(12))
def test_cleaning_does_not_depend_on_the_view(seed):
    """A mirrored or turned mask gives the mirrored or turned result; what is left is one group of parts."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(150, 210)), rng.uniform(3, 12))
    soft = np.clip(128 + 110 * field / np.abs(field).max(), 0, 255).astype(np.uint8)
    cleaned, others = clean(soft)
    assert not (cleaned & others).any()
    for view in (np.fliplr, np.flipud, np.transpose):
        turned, turned_others = clean(view(soft))
        assert np.array_equal(turned, view(cleaned))
        assert np.array_equal(turned_others, view(others))
    assert cleaned.any()
    grown = ndimage.binary_dilation(cleaned, iterations=6)  # two parts at most 2 % of 210 pixels apart
    assert ndimage.label(grown)[1] == 1


@pytest.mark.parametrize("shape", [(16, 16), (1, 300), (400, 3)])
def test_nothing_stays_nothing(shape):
    for pixels in clean(np.zeros(shape, np.uint8)):
        assert pixels.shape == shape
        assert not pixels.any()


# --- alpha


def test_a_cut_out_brings_its_own_mask(mask_model):
    alpha = soft_of(disc(radius=60, centre=(100, 100)))
    photo = photo_of(drawing(((200, 200, 480, 480), RED)).rgb, alpha)
    mask = isolate(photo, None, mask_model)
    assert mask.source == "alpha"
    assert np.array_equal(mask.pixels, alpha > 0)


@pytest.mark.parametrize(
    ("name", "object_alpha"),
    [
        ("table-trimmed", 255),
        ("picture-frame-trimmed", 255),
        ("tiny-cutout", 255),
        ("thin-rod", 255),
        ("glass", 115),
    ],
)
def test_a_cut_out_is_taken_at_its_word_and_no_network_is_run(name, object_alpha):
    side, where = 400, np.zeros((400, 400), bool)
    match name:
        case "table-trimmed":
            where[:40], where[:, :30], where[:, -30:] = True, True, True
        case "picture-frame-trimmed":
            where[:] = True
            where[40:-40, 40:-40] = False
        case "tiny-cutout":
            where = disc(side, 14)
        case "thin-rod":
            where[20:380, 200] = True
        case "glass":
            where = disc(side, 80)
    rgb = drawing(((20, 20, 380, 380), BLUE), size=(side, side)).rgb
    mask = isolate(photo_of(rgb, where * np.uint8(object_alpha)), None, None)
    assert mask.source == "alpha"
    assert np.array_equal(mask.pixels, where)
    assert mask.warnings == ()


def test_only_a_trimmed_outline_may_end_at_the_canvas_without_a_warning():
    half = np.zeros((300, 300), np.uint8)
    half[100:, 80:220] = 255
    assert isolate(photo_of(np.zeros((300, 300)), half), None, None).warnings == (WarningCode.CUT_BY_FRAME,)
    half[:, :40] = half[:90] = 0
    trimmed = np.full((200, 140), 255, np.uint8)
    trimmed[20:150, 30:110] = 0
    photo = photo_of(np.zeros((200, 140)), trimmed)
    assert isolate(photo, None, None).warnings == ()
    assert isolate(photo, photo_of(trimmed), None).warnings == ()
    assert isolate(photo_of(np.zeros((200, 140))), photo_of(trimmed), None).warnings == (WarningCode.CUT_BY_FRAME,)


@pytest.mark.slow
def test_alpha_that_cuts_nothing_out_is_left_aside(mask_model):
    rgb = drawing(((150, 150, 360, 360), RED)).rgb
    for level in (255, 200, 0):
        mask = isolate(photo_of(rgb, np.full((512, 512), level, np.uint8)), None, mask_model)
        assert mask.source == "rembg"
        assert mask.pixels[255, 255]


def test_a_pixel_of_alpha_0_is_never_object_and_its_colour_is_shown_to_no_network():
    """One pixel short of a cut-out: alpha says little, but what it hides stays hidden."""
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[255, :261] = 0
    hidden = np.full((512, 512, 3), (255, 0, 255), np.uint8)
    seen = []

    class Watched(Answers):
        def soft_mask(self, rgb):
            seen.append(rgb)
            return super().soft_mask(rgb)

    rgb = np.where(alpha[..., None] > 0, drawing(((150, 150, 360, 360), RED)).rgb, hidden)
    mask = isolate(photo_of(rgb, alpha), None, Watched(soft_of(disc())))
    assert mask.source == "rembg"
    assert not mask.pixels[alpha == 0].any()
    assert mask.pixels[256, 256]
    for shown in seen:
        assert not ((shown[..., 0] > 210) & (shown[..., 1] < 40) & (shown[..., 2] > 210)).any()


# --- small things


@pytest.mark.slow
@pytest.mark.parametrize(("size", "at"), [(30, (0.3, 0.4)), (54, (0.5, 0.5)), (100, (0.15, 0.8))])
def test_a_small_thing_is_found_close_up(size, at, mask_model):
    row, column = (round(900 * share) for share in at)
    box = (column - size // 2, row - size // 2, column + size // 2 - 1, row + size // 2 - 1)
    photo = drawing((box, RED), size=(900, 900))
    mask = isolate(photo, None, mask_model)
    expected = (photo.rgb == RED).all(2)
    assert (mask.pixels & expected).sum() / (mask.pixels | expected).sum() > 0.9
    assert mask.warnings == ()


def test_the_surer_of_two_looks_counts_if_it_is_of_the_same_thing():
    small = disc(512, 12)

    class Looks:
        def __init__(self, first, close):
            self.first, self.close = first, close

        def soft_mask(self, rgb):
            if rgb.shape[:2] == (512, 512):
                return small * np.uint8(self.first)
            half = rgb.shape[0] // 2
            row, column = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
            radius = np.hypot(row - half + self.close[1], column - half)
            return (radius < 14) * np.uint8(self.close[0])

    photo = photo_of(np.zeros((512, 512)))
    assert isolate(photo, None, Looks(140, (255, 0))).pixels.sum() == pytest.approx(np.pi * 14**2, rel=0.1)
    assert np.array_equal(isolate(photo, None, Looks(255, (140, 0))).pixels, ndimage.binary_opening(small))
    with pytest.raises(NoObject, match="stands out"):
        isolate(photo, None, Looks(140, (140, 0)))
    with pytest.raises(NoObject, match="stands out"):
        isolate(photo, None, Looks(140, (255, 30)))


# --- uploaded masks


def test_an_uploaded_mask_goes_before_everything_and_is_used_as_it_is(mask_model):
    wish = disc(radius=30, centre=(60, 60)) | disc(radius=25, centre=(400, 400))
    wish[60, 60] = False
    seen = soft_of(disc(radius=330))  # a cut-out of more than the wish
    photo = photo_of(drawing(((150, 150, 360, 360), RED)).rgb, seen)
    mask = isolate(photo, photo_of(soft_of(wish)), mask_model)
    assert mask.source == "upload"
    assert np.array_equal(mask.pixels, wish)
    assert mask.warnings == ()


def test_an_uploaded_mask_may_be_grey_or_alpha(mask_model):
    photo, wish = drawing(), disc()
    grey = photo_of(np.where(wish, 128, 127))
    by_alpha = photo_of(np.zeros((512, 512)), soft_of(wish))
    opaque = photo_of(soft_of(wish), np.full((512, 512), 255, np.uint8))
    for uploaded in (grey, by_alpha, opaque):
        assert np.array_equal(isolate(photo, uploaded, mask_model).pixels, wish)


def test_a_mask_is_never_inverted(mask_model):
    wish = ~disc(radius=100)
    assert np.array_equal(isolate(drawing(), photo_of(soft_of(wish)), mask_model).pixels, wish)


def test_a_mask_of_another_size_is_refused_naming_both(mask_model):
    with pytest.raises(BadRequest, match=r"300 × 200.*512 × 512.*EXIF"):
        isolate(drawing(), photo_of(np.zeros((200, 300))), mask_model)


def test_an_uploaded_mask_is_cut_by_alpha_0():
    left, right = np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8)
    left[:, :120], right[:, 80:] = 1, 255
    photo = photo_of(drawing(size=(200, 200)).rgb, left)
    mask = isolate(photo, photo_of(right), None)
    assert np.array_equal(mask.pixels, (left > 0) & (right > 0))
    everything = isolate(photo, photo_of(np.full((200, 200), 255)), None)
    assert np.array_equal(everything.pixels, left > 0)
    left[:, 80:] = 0
    with pytest.raises(NoObject, match="alpha"):
        isolate(photo_of(photo.rgb, left), photo_of(right), None)
    shows_nothing = photo_of(photo.rgb, np.zeros((200, 200), np.uint8))
    assert np.array_equal(isolate(shows_nothing, photo_of(right), None).pixels, right > 0)


def test_an_uploaded_mask_of_nothing_or_of_everything_is_refused(mask_model):
    for level in (0, 1, 127):
        with pytest.raises(NoObject, match=f"next to nothing.*brightest value is {level} of 255.*white"):
            isolate(drawing(), photo_of(np.full((512, 512), level)), mask_model)
    with pytest.raises(NoObject, match="whole photo"):
        isolate(drawing(), photo_of(np.full((512, 512), 255)), mask_model)
    small = disc(radius=6)
    assert isolate(drawing(), photo_of(soft_of(small)), mask_model).coverage == small.mean()


def test_a_mask_of_two_values_that_are_not_white_and_black_is_taken_by_the_higher_and_it_is_said():
    wish = disc()
    for low, high in [(0, 1), (0, 127), (3, 90), (128, 255), (254, 255)]:
        mask = isolate(drawing(), photo_of(np.where(wish, high, low)), None)
        assert np.array_equal(mask.pixels, wish), (low, high)
        assert mask.warnings == (WarningCode.MASK_VALUES_STRETCHED,)
    plain = isolate(drawing(), photo_of(np.where(wish, 200, 60)), None)
    assert plain.warnings == (), "these are white and black enough"


def test_a_dark_mask_of_more_than_two_values_is_refused_with_the_brightest():
    values = np.zeros((512, 512))
    values[:200], values[300:] = 1, 2
    with pytest.raises(NoObject, match=r"brightest value is 2 of 255.*white \(128 or more\)"):
        isolate(drawing(), photo_of(values), None)


def test_an_upright_mask_fits_a_large_turned_photo(mask_model):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    files = [io.BytesIO(), io.BytesIO()]
    Image.new("RGB", (3001, 2003)).save(files[0], "JPEG", exif=exif)  # stands upright as 2003 × 3001
    wish = Image.new("1", (2003, 3001))
    ImageDraw.Draw(wish).rectangle((0, 0, 2002, 1499), fill=1)
    wish.save(files[1], "PNG")
    photo, uploaded = (decode(file.getvalue(), max_pixels=10**7) for file in files)
    mask = isolate(photo, uploaded, mask_model)
    assert mask.pixels.shape == photo.rgb.shape[:2] == (2048, 1367)
    assert mask.pixels[:1020].all()
    assert not mask.pixels[1030:].any()
    assert mask.warnings == (WarningCode.CUT_BY_FRAME,)


# --- the PNG


def test_the_png_has_the_size_of_the_original_and_two_values():
    pixels = np.zeros((40, 60), bool)
    pixels[10:20, 30:50] = True
    png = Image.open(io.BytesIO(to_png(Mask(pixels, "rembg", 0.1), (120, 80))))
    assert (png.format, png.mode, png.size) == ("PNG", "L", (120, 80))
    assert np.array_equal(np.asarray(png), soft_of(pixels.repeat(2, axis=0).repeat(2, axis=1)))
