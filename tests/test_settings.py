from pathlib import Path

import pytest

from sam3d_bento.settings import Settings, SettingsError


def test_defaults_are_those_of_an_empty_environment():
    assert Settings.from_environ({}) == Settings()


def test_sizes_may_be_written_as_people_write_them():
    settings = Settings.from_environ({"SAM3D_OUTPUT_MAX_BYTES": "5e9", "SAM3D_MAX_PIXELS": "1_000_000"})
    assert (settings.output_max_bytes, settings.max_pixels) == (5_000_000_000, 1_000_000)


def test_an_empty_value_counts_as_absent():
    assert Settings.from_environ({"SAM3D_PUBLIC_URL": "", "SAM3D_QUEUE_LIMIT": ""}) == Settings()


def test_hosts_are_listed_with_commas_and_know_no_capitals():
    settings = Settings.from_environ({"SAM3D_ALLOWED_HOSTS": "Photos.example.com, *.s3.example.net,::1,"})
    assert settings.allowed_hosts == ("photos.example.com", "*.s3.example.net", "::1")


def test_origins_are_listed_with_commas():
    settings = Settings.from_environ(
        {"SAM3D_CORS_ORIGINS": "https://App.example.com, http://localhost:5173,http://[::1]"}
    )
    assert settings.cors_origins == ("https://app.example.com", "http://localhost:5173", "http://[::1]")


def test_metrics_need_a_key_where_there_are_keys():
    keys = {"SAM3D_API_KEYS_FILE": "keys", "SAM3D_METRICS_NEED_KEY": "true"}
    assert Settings.from_environ(keys).metrics_need_key


def test_folders_are_absolute_and_know_the_home_folder():
    assert Settings.from_environ({"SAM3D_WORK_DIR": "~/x"}).work_dir == Path.home() / "x"
    assert Settings.from_environ({"SAM3D_CHECKPOINT_DIR": "~/hf"}).checkpoint_dir == Path.home() / "hf"
    assert Settings.from_environ({"SAM3D_OUTPUT_DIR": "out"}).output_dir == Path.cwd() / "out"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGINE", "magic"),
        ("MEMORY_PROFILE", "8gb"),
        ("QUEUE_LIMIT", "0"),
        ("QUEUE_LIMIT", "1.5"),
        ("MAX_UPLOAD_BYTES", "-1"),
        ("MAX_UPLOAD_BYTES", "nan"),
        ("DEADLINE_SECONDS", "inf"),
        ("PUBLIC_URL", "ftp://x"),
        ("MASK_MODEL", "../../etc/passwd"),
        ("LOG_FORMAT", "xml"),
        ("OUTPUT_URL", "/a/folder"),
        ("OUTPUT_URL", "https://example.com/bucket"),
        ("OUTPUT_URL", "s3://key:secret@bucket/folder"),
        ("OUTPUT_ENDPOINT", "https://s3.example.com"),  # without an s3:// address it would be ignored
        ("ALLOWED_HOSTS", "*"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "null"),
        ("METRICS_NEED_KEY", "true"),  # without keys it would be ignored
        ("ALLOWED_HOSTS", "https://photos.example.com"),
        ("ALLOWED_HOSTS", "photos.*.com"),
    ],
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"SAM3D_{name}"):
        Settings.from_environ({f"SAM3D_{name}": value})


def test_s3_setting_is_refused_with_another_kind_of_bucket():
    s3 = {"SAM3D_OUTPUT_URL": "s3://bucket/folder", "SAM3D_OUTPUT_CREDENTIALS_FILE": "keys", "SAM3D_OUTPUT_REGION": "x"}
    assert Settings.from_environ(s3).output_credentials_file == Path.cwd() / "keys"
    with pytest.raises(SettingsError, match=r"SAM3D_OUTPUT_REGION.*SAM3D_OUTPUT_CREDENTIALS_FILE"):
        Settings.from_environ(s3 | {"SAM3D_OUTPUT_URL": "gs://bucket/folder"})


def test_all_bad_values_are_named_at_once():
    with pytest.raises(SettingsError, match=r"SAM3D_ENGINE.*SAM3D_LOG_FORMAT"):
        Settings.from_environ({"SAM3D_ENGINE": "x", "SAM3D_LOG_FORMAT": "y"})


def test_a_misspelt_name_is_found():
    assert Settings.unknown_names({"SAM3D_API_KEY_FILE": "of generate --server"}) == []
    assert Settings.unknown_names({"SAM3D_ENGIN": "preview", "SAM3D_ENGINE": "preview", "PATH": "/"}) == ["SAM3D_ENGIN"]


# Not that of the file of keys, which differs by one letter from SAM3D_API_KEY_FILE: a wrong one may mean either.
NAMES = sorted(f"SAM3D_{name.upper()}" for name in Settings.model_fields if name != "api_keys_file")


@pytest.mark.parametrize("name", NAMES)
def test_the_right_name_is_found_for_every_way_to_mistype_a_letter(name):
    letters = range(len("SAM3D_"), len(name))
    left_out = [name[:n] + name[n + 1 :] for n in letters]
    doubled = [name[:n] + name[n] + name[n:] for n in letters]
    wrong = [name[:n] + "X" + name[n + 1 :] for n in letters if name[n] != "X"]
    swapped = [name[:n] + name[n + 1] + name[n] + name[n + 2 :] for n in letters[:-1] if name[n] != name[n + 1]]
    for mistyped in (*left_out, *doubled, *wrong, *swapped):
        if Settings.unknown_names({mistyped: ""}):
            assert Settings.suggestion(mistyped) == name, mistyped


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SAM3D_OUTPUT_TTL", "SAM3D_OUTPUT_TTL_SECONDS"),
        ("SAM3D_API_KEYS", "SAM3D_API_KEYS_FILE"),
        ("SAM3D_SERVICE_HOST", None),
        ("SAM3D_PASSWORD", None),
        ("SAM3D_", None),
    ],
)
def test_a_name_without_its_unit_is_found_and_what_is_like_none_is_left(name, meant):
    assert Settings.suggestion(name) == meant
