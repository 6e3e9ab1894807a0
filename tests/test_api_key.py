import pytest

from sam3d_bento import api_key
from sam3d_bento.settings import SettingsError

KEY, OTHER = "a" * 16, "another-key/+=with-signs"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "keys"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_keys_stand_one_a_line_between_comments_and_empty_lines(write):
    keys = api_key.read_all(write(f"# who may\n\n  {KEY}  \r\n{OTHER}\n"))
    assert [key.get_secret_value() for key in keys] == [KEY, OTHER]
    assert KEY not in repr(keys)


@pytest.mark.parametrize("line", ["short", "two words that are long enough", "ä" * 20, "x" * 201])
def test_invalid_key_is_refused_by_its_line_without_quoting_it(write, line):
    with pytest.raises(SettingsError, match="Line 2 ") as caught:
        api_key.read_all(write(f"{KEY}\n{line}\n"))
    assert line not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_without_a_key_or_no_file_at_all_is_refused(write, tmp_path):
    with pytest.raises(SettingsError, match="contains no key"):
        api_key.read_all(write("# nobody yet\n"))
    with pytest.raises(SettingsError, match="cannot be read"):
        api_key.read_all(tmp_path / "nowhere")


def test_a_client_has_one_key(write):
    assert api_key.read_one(write(KEY)).get_secret_value() == KEY
    with pytest.raises(SettingsError, match="several"):
        api_key.read_one(write(f"{KEY}\n{OTHER}"))
