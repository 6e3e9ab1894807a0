import logging
import os

import pytest

from sam3d_bento.serving.keys import Keys
from sam3d_bento.settings import SettingsError

KEY, OTHER = "k" * 32, "o" * 32


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def told(caplog):
    """What the log says; also after `logs.configure`, which keeps the package's log for itself."""
    logger = logging.getLogger("sam3d_bento.keys")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.DEBUG)
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(logging.NOTSET)


def knows(keys, key):
    return keys.identify(key) is not None


def exchange(path, text):
    """As Kubernetes and careful people do it: a new file takes the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_only_the_keys_in_the_file_are_known(path):
    keys = Keys(path)
    assert knows(keys, KEY)
    for wrong in ("", OTHER, KEY[:-1], KEY + "k", KEY.upper(), "\N{SNOWMAN}" * 32):
        assert not knows(keys, wrong)


def test_keys_are_exchanged_while_the_service_runs(path):
    keys = Keys(path)
    assert knows(keys, KEY)
    exchange(path, f"{KEY}\n{OTHER}\n")
    assert knows(keys, KEY)
    assert knows(keys, OTHER)
    exchange(path, f"{OTHER}\n")
    assert not knows(keys, KEY)
    assert knows(keys, OTHER)


def test_a_file_that_is_not_read_any_more_lets_nobody_in_until_it_is(path):
    keys = Keys(path)
    assert knows(keys, KEY)
    exchange(path, "too short\n")
    assert not knows(keys, KEY)
    assert not knows(keys, KEY), "also when it is asked again without a change"
    path.unlink()
    assert not knows(keys, KEY)
    exchange(path, KEY)
    assert knows(keys, KEY)


def test_no_key_stays_in_memory_or_reaches_the_log(path, told):
    keys = Keys(path)
    knows(keys, KEY)
    knows(keys, OTHER)
    exchange(path, "two words that are no key")
    knows(keys, KEY)
    assert "no API key is accepted" in told.text
    assert KEY not in repr(vars(keys))
    logged = "".join(str(vars(record)) for record in told.records)
    for secret in (KEY, OTHER, "two words"):
        assert secret not in logged


def test_a_file_that_all_may_read_is_used_and_said(path, told):
    os.chmod(path, 0o644)
    assert knows(Keys(path), KEY)
    assert "every user of this machine" in told.text


def test_a_claim_says_what_is_wrong(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        Keys(tmp_path / "nowhere").claim()
