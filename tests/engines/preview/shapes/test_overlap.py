import numpy as np
import pytest

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.shapes.overlap import find_overlap

ROWS, COLUMNS = np.indices((200, 200))
BODY = COLUMNS < 120
PIECE = ~BODY & (np.abs(ROWS - 100) < 15) & (COLUMNS < 180)
ROOT = (np.abs(ROWS - 100) < 15) & (COLUMNS >= 90)  # reaches over the body
WIDEST = 60.0


def paint(covered: Bool, handle: int) -> Float32:
    """Return a picture of a striped body, and of what covers it."""
    stripes = np.where(ROWS // 25 % 2, 150, 90)
    return np.where(covered, handle, stripes)[:, :, None].repeat(3, 2).astype(np.float32)


@pytest.mark.parametrize("handle", [10, 240])
def test_what_lies_before_the_body_is_found(handle: int) -> None:
    found = find_overlap(paint(ROOT | PIECE, handle), BODY, PIECE, WIDEST)
    assert (found == (ROOT & BODY)).mean() > 0.995


def test_a_piece_that_ends_at_the_outline_covers_nothing() -> None:
    assert np.count_nonzero(find_overlap(paint(PIECE, 240), BODY, PIECE, WIDEST)) < 0.02 * np.count_nonzero(PIECE)


def test_a_piece_that_looks_like_the_body_covers_nothing() -> None:
    plain = np.full((200, 200, 3), 128, np.float32)
    assert np.count_nonzero(find_overlap(plain, BODY, PIECE, WIDEST)) < 0.02 * np.count_nonzero(PIECE)


def test_a_large_picture_gives_the_same() -> None:
    picture, body, piece = (np.kron(part, np.ones((5, 5), part.dtype)) for part in (ROOT | PIECE, BODY, PIECE))
    rgb = np.where(picture, 240, 100)[:, :, None].repeat(3, 2).astype(np.float32)
    found = find_overlap(rgb, body, piece, 5 * WIDEST)
    assert (found == (picture & body)).mean() > 0.99
