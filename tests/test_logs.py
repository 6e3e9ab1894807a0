import json
import logging
import warnings

import pytest

from sam3d_bento import logs


@pytest.fixture
def configure(capsys):
    """Configure the log, with no other handlers about; what it has written since. As before at the end."""
    package, root = logging.getLogger(logs.ROOT), logging.getLogger()
    before = package.handlers[:], package.level, package.propagate, root.handlers[:]

    def start(log_format):
        root.handlers[:] = []  # pytest's own
        logs.configure(log_format)
        return lambda: capsys.readouterr().err

    yield start
    package.handlers[:], package.level, package.propagate, root.handlers[:] = before
    logging.captureWarnings(False)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_one_object_with_its_fields(configure):
    written = configure("json")
    logs.event(logging.getLogger("sam3d_bento.x"), "it happened", request_id="ab", seconds=1.5, left_out=None)
    (line,) = lines(written())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "sam3d_bento.x",
        "message": "it happened",
        "request_id": "ab",
        "seconds": 1.5,
    }


def test_log_lines_of_a_request_have_its_id(configure):
    written = configure("json")
    log = logging.getLogger("sam3d_bento.x")
    with logs.bound(request_id="ab", job="j"):
        log.warning("a line without fields")
        with logs.bound(stage="mask"):
            logs.event(log, "another", job="own")
        logging.getLogger("some.library").warning("of others")
    log.warning("afterwards")
    first, second, third, last = lines(written())
    assert (first["request_id"], first["job"]) == ("ab", "j")
    assert (second["request_id"], second["stage"], second["job"]) == ("ab", "mask", "own")
    assert (third["logger"], third["request_id"]) == ("some.library", "ab")
    assert "request_id" not in last


def test_text_with_line_breaks_a_traceback_and_warnings_stay_one_line_each(configure):
    written = configure("json")
    try:
        raise ZeroDivisionError("two\nlines")
    except ZeroDivisionError:
        logging.getLogger("sam3d_bento.x").exception("it\nfailed")
    warnings.warn("mind\nthis", UserWarning, stacklevel=1)
    failed, warned = lines(written())
    assert failed["message"] == "it\nfailed"
    assert "ZeroDivisionError" in failed["traceback"]
    assert "mind\nthis" in warned["message"]


def test_on_a_console_it_is_text_and_other_loggers_are_left_alone(configure):
    written = configure("console")
    with logs.bound(request_id="ab"):
        logs.event(logging.getLogger("sam3d_bento.x"), "it happened", detail="two words")
    assert written().endswith('INFO it happened request_id=ab detail="two words"\n')
    assert logging.getLogger().handlers == []
