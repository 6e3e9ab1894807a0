import pytest

from sam3d_bento.weights import token
from sam3d_bento.weights.part import WeightsError

TOKEN = "MarkerThatNobodySees"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.setattr(token, "SECRET_FILE", tmp_path / "hf_token")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def test_token_may_be_absent(monkeypatch):
    assert token.find() is None
    monkeypatch.setenv("HF_TOKEN", "")
    assert token.find() is None


def test_a_named_file_goes_before_the_secret_and_that_before_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    assert token.find().get_secret_value() == "hf_environment"
    token.SECRET_FILE.write_text("hf_secret\n")
    assert token.find().get_secret_value() == "hf_secret"
    (tmp_path / "named").write_text("  hf_named\n")
    assert token.find(tmp_path / "named").get_secret_value() == "hf_named"


def test_its_text_is_in_no_representation(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    found = token.find()
    assert TOKEN not in f"{found} {found!r} {[found]}"


@pytest.mark.parametrize("text", ["", "\n", f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", f"{TOKEN}é", f"{TOKEN}\r\nX: y"])
def test_invalid_token_is_refused_without_quoting_it(tmp_path, text):
    (tmp_path / "named").write_text(text)
    with pytest.raises(WeightsError, match="does not contain a token") as refusal:
        token.find(tmp_path / "named")
    assert TOKEN not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot be read \(Is a directory\)"):
        token.find(tmp_path)
