import json

import pytest
from click.testing import CliRunner

from sam3d_bento.cli import doctor
from sam3d_bento.cli.main import main
from sam3d_bento.settings import Settings

MARKER = "planted-secret-0123456789"


@pytest.fixture
def environ(mask_model, tmp_path):
    """Of a service that would run. (mask_model: its file is there.)"""
    return {
        "SAM3D_ENGINE": "preview",
        "SAM3D_MASK_DIR": str(Settings.from_environ().mask_dir),
        "SAM3D_WORK_DIR": str(tmp_path / "work"),
        "SAM3D_OUTPUT_DIR": str(tmp_path / "outputs"),
    }


def both(report):
    """The report as people and as programs read it."""
    return doctor.text(report) + json.dumps(report)


@pytest.mark.slow
def test_a_service_that_would_run_has_no_fault(environ, tmp_path):
    report = doctor.examine(environ)
    assert report["faults"] == []
    assert report["self_test"]["passed"]
    assert report["self_test"]["faces"] == 1000
    assert report["engine"] == {"chosen": "preview"}
    assert [(one["set"], one["complete"]) for one in report["weights"]] == [
        ("mask", True),
        ("size", False),
        ("prompts", False),
    ]
    assert set(report["settings"]) == {f"SAM3D_{name.upper()}" for name in Settings.model_fields}
    assert report["versions"]["bentoml"]
    assert report["folders"]["SAM3D_OUTPUT_DIR"]["free_bytes"] > 0
    assert list((tmp_path / "outputs").iterdir()) == [], "what it tried there is gone"
    assert doctor.text(report).splitlines()[0] == "No faults found."
    json.dumps(report)


def test_the_better_mask_model_is_recommended_where_its_file_is_there_and_another_is_used(tmp_path):
    settings = Settings(mask_dir=tmp_path)
    assert doctor._advice(settings) == []
    (tmp_path / "isnet-general-use.onnx").touch()
    (advice,) = doctor._advice(settings)
    assert "SAM3D_MASK_MODEL=isnet-general-use" in advice
    assert doctor._advice(settings.model_copy(update={"mask_model": "isnet-general-use"})) == []
    report = {"faults": [], "advice": [advice], "unknown_variables": [], "did_you_mean": {}}
    assert doctor.text(report).splitlines()[1] == f"ADVICE   {advice}"


@pytest.mark.slow
def test_no_secret_is_told(environ, s3, tmp_path):
    (tmp_path / "keys").write_text(f"{MARKER}-key\n")
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {MARKER}\naws_secret_access_key = {MARKER}\n"
    )
    planted = environ | {
        "SAM3D_API_KEYS_FILE": str(tmp_path / "keys"),
        "SAM3D_OUTPUT_URL": s3.url,
        "SAM3D_OUTPUT_ENDPOINT": s3.endpoint,
        "SAM3D_OUTPUT_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "SAM3D_PUBLIC_URL": f"https://user:{MARKER}@models.example/base?signature={MARKER}",
        "SAM3D_PASSWORD": MARKER,
        "HF_TOKEN": MARKER,
        "AWS_SECRET_ACCESS_KEY": MARKER,
    }
    report = doctor.examine(planted)
    said = both(report)
    assert MARKER not in said
    assert "https://***@models.example/base?***" in said
    assert report["api_keys"] == {"count": 1}
    assert report["unknown_variables"] == ["SAM3D_PASSWORD"]
    assert {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY"} <= set(report["credentials_in_environment"])
    assert any("SAM3D_OUTPUT_URL cannot be used" in fault for fault in report["faults"]), "the keys are wrong"


@pytest.mark.parametrize("name", ["SAM3D_OUTPUT_URL", "SAM3D_QUEUE_LIMIT", "SAM3D_ENGINE", "SAM3D_CORS_ORIGINS"])
def test_a_value_that_cannot_be_used_is_named_and_not_told(environ, name):
    report = doctor.examine(environ | {name: MARKER})
    assert name in report["faults"][0]
    assert MARKER not in both(report)


def test_condition_that_would_stop_the_service_is_a_fault(environ, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "keys").write_text("short")
    report = doctor.examine(
        environ
        | {
            "SAM3D_ENGINE": "sam3d",
            "SAM3D_CHECKPOINT_DIR": str(tmp_path / "nowhere"),
            "SAM3D_OUTPUT_DIR": str(tmp_path / "file"),
            "SAM3D_MASK_DIR": str(tmp_path / "nowhere"),
            "SAM3D_API_KEYS_FILE": str(tmp_path / "keys"),
        }
    )
    faults = "\n".join(report["faults"])
    for said in (
        "SAM3D_OUTPUT_DIR cannot be used",
        "Line 1 of the file of API keys",
        "weights fetch --set mask`",
        "weights fetch --set sam3d`",
        "engine 'sam3d' cannot be used",
        "self-test failed",
    ):
        assert said in faults
    assert not report["self_test"]["passed"]
    first = doctor.text(report).splitlines()[: len(report["faults"])]
    assert first == [f"FAULT    {fault}" for fault in report["faults"]], "before all that is known"


@pytest.mark.slow
def test_a_misspelt_setting_is_told_beside_the_verdict_with_the_right_name(environ):
    report = doctor.examine(environ | {"SAM3D_QUEU_LIMIT": "1", "SAM3D_SERVICE_HOST": "10.0.0.1"})
    assert doctor.text(report).splitlines()[:3] == [
        "No faults found.",
        "WARNING  SAM3D_QUEU_LIMIT is no setting. Did you mean SAM3D_QUEUE_LIMIT?",
        "WARNING  SAM3D_SERVICE_HOST is no setting.",
    ]
    assert report["did_you_mean"] == {"SAM3D_QUEU_LIMIT": "SAM3D_QUEUE_LIMIT"}


@pytest.mark.slow
def test_weights_that_auto_does_without_are_told_and_no_fault(environ, tmp_path):
    report = doctor.examine(environ | {"SAM3D_ENGINE": "auto", "SAM3D_CHECKPOINT_DIR": str(tmp_path / "nowhere")})
    assert report["faults"] == []
    assert report["engine"]["chosen"] == "preview"
    assert report["engine"]["sam3d_lacks"]
    assert "more; use --json to see all" in doctor.text(report)


@pytest.mark.slow
def test_the_command_prints_and_fails_with_the_fault(environ, monkeypatch, tmp_path):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["faults"] == []
    monkeypatch.setenv("SAM3D_MASK_DIR", str(tmp_path))
    failed = CliRunner().invoke(main, ["doctor"])
    assert failed.exit_code == 1
    assert "FAULT" in failed.output
