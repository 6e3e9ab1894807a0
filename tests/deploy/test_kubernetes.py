"""The manifests in deploy/kubernetes: valid for Kubernetes, and about the service that is here."""

import copy
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from sam3d_bento import service
from sam3d_bento.serving import shutdown
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.routes import api, metrics
from sam3d_bento.settings import Settings
from tests.support.places import PROJECT

FOLDER = PROJECT / "deploy" / "kubernetes"
# The oldest that knows preStop's sleep, and the newest that the schemas know.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
# Their schemas are their operators'; Kubernetes has none.
CUSTOM_KINDS = {"ScaledObject", "PodMonitor"}
PARTS = ("api-keys", "autoscaling", "object-store")
OVERLAYS = ("preview",)  # each is a whole, with the base in it
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def read(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def kustomization(folder):
    (document,) = read(f"{folder}/kustomization.yaml")
    return document


def resources(*folders):
    """What kustomize would apply of these folders, in a form for tests: files of resources, patches made."""
    found = [
        item
        for folder in folders
        for name in kustomization(folder).get("resources", [])
        for item in read(f"{folder}/{name}")
    ]
    for folder in folders:
        for patch in kustomization(folder).get("patches", []):
            (target,) = (item for item in found if is_target(item, patch["target"]))
            for operation in read(f"{folder}/{patch['path']}")[0]:
                change(target, operation)
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def is_target(item, target):
    group, _, version = item["apiVersion"].rpartition("/")
    return (group, version, item["kind"], item["metadata"]["name"]) == tuple(
        target[key] for key in ("group", "version", "kind", "name")
    )


def change(item, operation):
    """The operations of JSON Patch (RFC 6902) that are used here; `add` only at the end of a list that exists."""
    *path, end = (step.replace("~1", "/") for step in operation["path"].strip("/").split("/"))
    for step in path:
        item = item[int(step) if isinstance(item, list) else step]
    match operation["op"]:
        case "add":
            assert end == "-", operation
            item.append(operation["value"])
        case "test":
            assert item[end] == operation["value"]
        case "replace":
            assert end in item, operation
            item[end] = operation["value"]
        case "remove":
            del item[end]
        case other:
            raise AssertionError(other)


@pytest.fixture(scope="module")
def everything():
    return resources("base", *PARTS)


@pytest.fixture
def deployment():
    return resources("base")["Deployment", "sam3d"]


@pytest.fixture
def pod(deployment):
    return deployment["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


@pytest.fixture
def settings(container):
    """What the service would read from the container's environment."""
    return Settings.from_environ({variable["name"]: variable["value"] for variable in container["env"]})


def size(quantity):
    number, unit = re.fullmatch(r"(\d+)([KMG]i)", quantity).groups()
    return int(number) * UNITS[unit]


def test_every_file_belongs_to_a_kustomization():
    named = {FOLDER / "README.md", FOLDER / "kustomization.yaml"}
    for folder in ("base", *PARTS, *OVERLAYS):
        content = kustomization(folder)
        files = [*content.get("resources", []), *(patch["path"] for patch in content.get("patches", []))]
        files = [name for name in files if not name.startswith("../")]
        named |= {FOLDER / folder / name for name in ("kustomization.yaml", *files)}
    assert {path for path in FOLDER.rglob("*") if path.is_file()} == named


def test_the_root_names_the_base_and_offers_all_parts():
    assert kustomization(".")["resources"] == ["base"]
    offered = re.findall(r"^#  - (\S+)", (FOLDER / "kustomization.yaml").read_text(), re.MULTILINE)
    assert {*offered, *kustomization(".")["components"]} == set(PARTS)
    assert {kustomization(name)["kind"] for name in offered} == {"Component"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_and_has_no_unknown_field(everything, version):
    for (kind, _), item in everything.items():
        if kind not in CUSTOM_KINDS:
            kubernetes_validate.validate(item, version, strict=True)


def test_the_validation_would_find_a_misspelt_field(deployment):
    wrong = copy.deepcopy(deployment)
    wrong["spec"]["template"]["spec"]["containers"][0]["startupProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_everything_selects_the_pods_of_the_deployment(everything, deployment):
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        everything["Service", "sam3d"]["spec"]["selector"],
        everything["PodDisruptionBudget", "sam3d"]["spec"]["selector"]["matchLabels"],
        everything["PodMonitor", "sam3d"]["spec"]["selector"]["matchLabels"],
        everything["NetworkPolicy", "sam3d"]["spec"]["podSelector"]["matchLabels"],
        everything["NetworkPolicy", "sam3d-object-store"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    target = everything["ScaledObject", "sam3d"]["spec"]["scaleTargetRef"]
    assert target["name"] == deployment["metadata"]["name"]


def test_the_port_is_the_services_own(everything, container):
    (port,) = container["ports"]
    assert port["containerPort"] == service.Sam3D.config["http"]["port"]
    (outside,) = everything["Service", "sam3d"]["spec"]["ports"]
    (scraped,) = everything["PodMonitor", "sam3d"]["spec"]["podMetricsEndpoints"]
    (admitted,) = everything["NetworkPolicy", "sam3d"]["spec"]["ingress"][0]["ports"]
    assert outside["targetPort"] == scraped["port"] == admitted["port"] == port["name"]


def test_the_probes_ask_routes_that_answer_to_their_meaning(container):
    routes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    ours = {route.path for route in api.app.routes}
    assert {"/health"} == {routes[name]["path"] for name in ("startup", "readiness")} <= ours
    assert routes["liveness"]["path"] == "/livez"  # BentoML's; driven by __is_alive__
    assert callable(service.Sam3D.inner.__is_alive__)
    assert {probe["port"] for probe in routes.values()} == {container["ports"][0]["name"]}


def test_the_grace_period_is_enough_for_a_full_queue_at_its_deadline(pod, container, settings):
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    worst = settings.shutdown_limit_seconds + shutdown.STALL_SECONDS + shutdown.EXIT_GRACE_SECONDS + stop
    assert pod["terminationGracePeriodSeconds"] > worst


def test_one_gpu_and_no_second_pod_that_would_wait_for_it(deployment, container):
    for kind in ("requests", "limits"):
        assert container["resources"][kind]["nvidia.com/gpu"] == 1
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert "replicas" not in deployment["spec"], "the autoscaler's"
    assert size(container["resources"]["requests"]["memory"]) > 13e9, "the peak of loading"


def test_only_folders_that_the_service_writes_to_are_mounted(pod, container, settings):
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    home = next(variable["value"] for variable in container["env"] if variable["name"] == "BENTOML_HOME")
    written = {settings.work_dir, settings.output_dir, Path(home)}
    mounts = {Path(mount["mountPath"]): mount["name"] for mount in container["volumeMounts"]}
    holding = {folder: [mount for mount in mounts if folder.is_relative_to(mount)] for folder in written}
    assert all(holding.values()), holding
    assert {mount for found in holding.values() for mount in found} == set(mounts)
    assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}


def test_the_quota_is_reached_before_the_volume_is_full(pod, container, settings):
    limits = {volume["name"]: size(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"]}
    assert settings.output_max_bytes < limits["outputs"]
    uploads = (settings.queue_limit + 1) * settings.max_upload_bytes
    assert uploads < limits["tmp"]
    assert sum(limits.values()) <= size(container["resources"]["requests"]["ephemeral-storage"])


def test_the_user_is_the_images_and_may_do_nothing_special(pod, container):
    image = (PROJECT / "Dockerfile.base").read_text()
    user = pod["securityContext"]["runAsUser"]
    assert f"install -d -o {user} -g {pod['securityContext']['runAsGroup']} /app/outputs" in image
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False


def test_the_names_of_services_do_not_become_settings(pod, everything):
    assert pod["enableServiceLinks"] is False
    name = everything["Service", "sam3d"]["metadata"]["name"].upper()
    injected = {f"{name}_SERVICE_HOST": "10.0.0.1", f"{name}_PORT": "tcp://10.0.0.1:80"}
    assert Settings.unknown_names(injected) == sorted(injected), "so they would be, without it"


def test_every_variable_is_a_setting_and_no_secret_is_among_them(everything):
    container = everything["Deployment", "sam3d"]["spec"]["template"]["spec"]["containers"][0]
    assert "envFrom" not in container
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert None not in environment.values(), "valueFrom would put a Secret into the environment"
    assert Settings.unknown_names(environment) == []
    telling = {name for name in environment if re.search("KEY|SECRET|TOKEN|PASSWORD|CREDENTIALS", name)}
    assert telling == {"SAM3D_API_KEYS_FILE", "SAM3D_OUTPUT_CREDENTIALS_FILE"}, "which only say where a file is"
    assert not any(kind == "Secret" for kind, _ in everything), "the person makes it"


@pytest.mark.parametrize(
    ("volume", "setting"), [("object-store", "output_credentials_file"), ("api-keys", "api_keys_file")]
)
def test_a_secret_is_mounted_where_it_is_read(everything, volume, setting):
    pod = everything["Deployment", "sam3d"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    settings = Settings.from_environ({variable["name"]: variable["value"] for variable in container["env"]})
    assert settings.output_url.startswith("s3://")
    path = getattr(settings, setting)
    mount = next(mount for mount in container["volumeMounts"] if mount["name"] == volume)
    assert (mount["mountPath"], mount["readOnly"]) == (str(path.parent), True)
    (secret,) = (found["secret"] for found in pod["volumes"] if found["name"] == volume)
    readme = (FOLDER / "README.md").read_text()
    assert f"create secret generic -n sam3d {secret['secretName']} --from-file={path.name}" in readme
    assert secret["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"], "who may read it"


def test_nothing_leaves_the_pod_but_to_the_object_store(everything):
    base = everything["NetworkPolicy", "sam3d"]["spec"]
    assert base["egress"] == []
    assert set(base["policyTypes"]) == {"Ingress", "Egress"}
    rules = everything["NetworkPolicy", "sam3d-object-store"]["spec"]["egress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {53, 443}


def test_the_autoscaler_asks_for_metrics_that_the_service_has(everything, tmp_path):
    spec = everything["ScaledObject", "sam3d"]["spec"]
    (trigger,) = spec["triggers"]
    asked = set(re.findall(r"sam3d_\w+", trigger["metadata"]["query"]))
    # No file of keys: the service fails before it starts an engine, and its metrics are all there.
    folders = {"work_dir": tmp_path / "work", "output_dir": tmp_path / "outputs"}
    backend = Backend(Settings(api_keys_file=tmp_path / "nowhere", **folders))
    exported = set(re.findall(r"^(sam3d_\w+) ", metrics.exposition(backend).decode(), re.MULTILINE))
    backend.stop()
    assert asked <= exported
    assert spec["minReplicaCount"] >= 1


@pytest.fixture(scope="module")
def preview():
    """What the overlay without a GPU is."""
    assert kustomization("preview")["resources"] == ["../base"]
    found = resources("base")
    deployment = found["Deployment", "sam3d"]
    (patch,) = kustomization("preview")["patches"]
    assert is_target(deployment, patch["target"])
    for operation in read(f"preview/{patch['path']}")[0]:
        change(deployment, operation)
    return found


def test_the_preview_is_the_base_without_a_gpu_and_with_the_other_engine(preview):
    pod = preview["Deployment", "sam3d"]["spec"]["template"]["spec"]
    assert "nvidia" not in str(pod)
    (container,) = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert Settings.from_environ(environment).engine == "preview"
    assert "securityContext" in container
    assert size(container["resources"]["requests"]["memory"]) >= 2 * 2**30, "what tests/faults shows that it lives in"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_preview_is_valid(preview, version):
    for item in preview.values():
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl")
def test_kustomize_makes_of_the_preview_what_these_tests_make_of_it(preview):
    built = subprocess.run(["kubectl", "kustomize", FOLDER / "preview"], capture_output=True, text=True, check=True)
    items = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(built.stdout)}
    expected = copy.deepcopy(preview)
    (container,) = expected["Deployment", "sam3d"]["spec"]["template"]["spec"]["containers"]
    container["image"] = "sam3d-bento:preview"
    assert items == expected
