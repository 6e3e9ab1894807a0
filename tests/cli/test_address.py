import pytest

import service
from sam3d_bento.cli import address
from sam3d_bento.settings import Settings


def test_the_port_is_the_services_own():
    assert service.Sam3D.config["http"]["port"] == address.PORT


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("gpu.example", "http://gpu.example:8000"),
    ],
)
def test_a_browser_can_open_the_address(host, url):
    assert address.url(host, 8000) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_nobody_is_warned_of_what_only_this_machine_reaches(host):
    assert address.warning(host, 8000, Settings()) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gpu.example"])
def test_whoever_opens_the_service_without_a_key_is_warned(host, tmp_path):
    said = address.warning(host, 8123, Settings())
    assert "8123" in said
    assert "SAM3D_API_KEYS_FILE" in said
    assert address.warning(host, 8123, Settings(api_keys_file=tmp_path / "keys")) is None
