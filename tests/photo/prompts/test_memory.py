from sam3d_bento.photo.prompts.memory import MAX_PHOTOS, Memory
from tests.support.waiting import until


def test_an_encoding_is_found_by_its_own_key_only():
    memory = Memory(60)
    memory.keep(b"one", "encoding of one")
    memory.keep(b"two", "encoding of two")
    assert memory.find(b"one") == "encoding of one"
    assert memory.find(b"two") == "encoding of two"
    assert memory.find(b"three") is None


def test_the_photo_that_was_used_longest_ago_goes_first():
    memory = Memory(60)
    for number in range(MAX_PHOTOS):
        memory.keep(bytes([number]), number)
    memory.keep(bytes([0]), 0)  # used again
    memory.keep(b"new", "new")
    assert len(memory) == MAX_PHOTOS
    assert memory.find(bytes([0])) == 0
    assert memory.find(bytes([1])) is None


def test_encodings_are_forgotten_on_time_although_nobody_asks():
    memory = Memory(0.05)
    memory.keep(b"one", "encoding")
    memory.keep(b"two", "encoding")
    until(lambda: len(memory) == 0)
    memory.keep(b"three", "encoding")
    assert len(memory) == 1
    until(lambda: len(memory) == 0)


def test_zero_seconds_keep_nothing():
    memory = Memory(0)
    memory.keep(b"one", "encoding")
    assert len(memory) == 0
