from datetime import UTC, datetime

import pytest

from sam3d_bento.serving.assets.credentials import CredentialsFile

GOOD = "[default]\naws_access_key_id = an-id\naws_secret_access_key = a%(secret)s/+=\n"


def test_the_keys_are_those_of_the_default_profile(tmp_path):
    file = tmp_path / "credentials"
    file.write_text(f"[other]\naws_access_key_id = x\n\n{GOOD}")
    keys = CredentialsFile(file)()
    assert (keys["access_key_id"], keys["secret_access_key"]) == ("an-id", "a%(secret)s/+=")
    assert keys["token"] is None


def test_temporary_keys_come_with_their_token(tmp_path):
    file = tmp_path / "credentials"
    file.write_text(f"{GOOD}aws_session_token = a-token\n")
    assert CredentialsFile(file)()["token"] == "a-token"


def test_changed_keys_are_used_without_a_restart(tmp_path):
    file = tmp_path / "credentials"
    file.write_text(GOOD)
    credentials = CredentialsFile(file)
    assert 0 < (credentials()["expires_at"] - datetime.now(UTC)).total_seconds() <= 60
    file.write_text(GOOD.replace("an-id", "the-next-id"))
    assert credentials()["access_key_id"] == "the-next-id"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a-secret",
        b"[default]\na-secret\n",
        b"[default]\naws_access_key_id = a-secret\n",
        b"[default]\naws_secret_access_key = a-secret\naws_secret_access_key = a-secret\n",
        b"[default]\naws_access_key_id = a-secret\xff\n",
    ],
)
def test_a_file_without_keys_is_refused_and_not_quoted(tmp_path, content):
    (tmp_path / "credentials").write_bytes(content)
    with pytest.raises(ValueError, match=r"no \[default\] profile") as refusal:
        CredentialsFile(tmp_path / "credentials")()
    assert "a-secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        CredentialsFile(tmp_path / "credentials")()
