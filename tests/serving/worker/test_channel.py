import os
import socket
import threading
import time

import pytest

from sam3d_bento.serving.worker.channel import Channel, FrameTooLong
from tests.support.waiting import PATIENCE

LIMIT = 3_000_000


@pytest.fixture
def ends():
    """A raw socket, and the channel at the other end."""
    raw, end = socket.socketpair()
    channel = Channel(end, LIMIT)
    yield raw, channel
    raw.close()
    channel.close()


def frame(content):
    return len(content).to_bytes(8) + content


def test_frames_of_any_length_arrive_whole_and_in_order():
    one, other = (Channel(end, LIMIT) for end in socket.socketpair())
    contents = [b"", b"a", bytes(70_000), b"x" * LIMIT, b"", b"last"]

    def send():
        for content in contents:
            one.send(content[:1], content[1:], seconds=PATIENCE)

    sender = threading.Thread(target=send)
    sender.start()
    assert [bytes(other.receive_whole()) for _ in contents] == contents
    sender.join()
    one.close()
    with pytest.raises(EOFError):
        other.receive_whole()
    other.close()


def test_a_frame_in_pieces_is_given_out_when_it_is_whole_and_not_before(ends):
    raw, channel = ends
    for byte in frame(b"abc"):
        assert channel.receive() is None
        raw.sendall(bytes([byte]))
    assert bytes(channel.receive()) == b"abc"
    assert channel.receive() is None


def test_two_frames_that_came_at_once_are_two(ends):
    raw, channel = ends
    raw.sendall(frame(b"one") + frame(b"two"))
    assert [bytes(channel.receive()), bytes(channel.receive()), channel.receive()] == [b"one", b"two", None]


@pytest.mark.parametrize("length", [LIMIT + 1, 2**63, 2**64 - 1])
def test_a_frame_above_the_limit_is_refused_before_it_comes(ends, length):
    raw, channel = ends
    raw.sendall(length.to_bytes(8))
    with pytest.raises(FrameTooLong):
        channel.receive()


@pytest.mark.parametrize("part", [b"", b"\0\0", frame(b"abc")[:-1]])
def test_a_peer_that_goes_away_is_the_end_wherever_it_stopped(ends, part):
    raw, channel = ends
    raw.sendall(part)
    raw.close()
    with pytest.raises(EOFError):
        channel.receive()
    assert channel.wait(0), "and whoever waits is let go"


def test_a_peer_that_does_not_read_holds_up_no_sender_beyond_its_limit(ends):
    _, channel = ends
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.send(bytes(LIMIT), seconds=0.1)
    assert time.monotonic() - started < 5


def test_a_peer_that_is_gone_is_an_error_to_the_sender(ends):
    raw, channel = ends
    raw.close()
    with pytest.raises(BrokenPipeError):
        channel.send(b"abc", seconds=PATIENCE)


def test_a_descriptor_arrives_with_its_frame_and_nobody_elses():
    here, there = socket.socketpair()
    one, other = Channel(here, LIMIT), Channel(there, LIMIT, takes_descriptors=True)
    reader, writer = os.pipe()
    one.send(b"first", seconds=PATIENCE)
    one.send(b"second", b"in two parts", seconds=PATIENCE, descriptors=[writer])
    one.send(b"third", seconds=PATIENCE)
    os.close(writer)
    assert [bytes(other.receive_whole()), other.take_descriptors()] == [b"first", []]
    assert bytes(other.receive_whole()) == b"secondin two parts"
    (taken,) = other.take_descriptors()
    assert [bytes(other.receive_whole()), other.take_descriptors()] == [b"third", []]
    assert not os.get_inheritable(taken)
    os.write(taken, b"through")
    os.close(taken)
    assert os.read(reader, 100) == b"through"
    assert os.read(reader, 100) == b"", "no copy is open"
    os.close(reader)
    one.close()
    other.close()


def test_a_peer_that_takes_no_descriptors_gets_none(ends):
    """So a process that was taken over cannot use up the descriptors of the service."""
    raw, channel = ends
    reader, writer = os.pipe()
    socket.send_fds(raw, [frame(b"here is one")], [writer])
    os.close(writer)
    assert bytes(channel.receive_whole()) == b"here is one"
    assert channel.take_descriptors() == []
    assert os.read(reader, 100) == b"", "the kernel has closed it"
    os.close(reader)
