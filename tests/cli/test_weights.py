import hashlib
import io
import json
import logging
import subprocess
import sys
import traceback

import pytest
from click.testing import CliRunner
from rich.console import Console

from sam3d_bento.cli import weights
from sam3d_bento.cli.main import main
from sam3d_bento.weights import download, token
from sam3d_bento.weights.sets import SETS, WeightFile, WeightSet
from sam3d_bento.weights.sources import HubFile, Url
from tests.support.weight_site import Page

TOKEN = "MarkerThatNobodySees"
GATED, MASK = b"gated weights " * 1000, b"a mask model " * 1000
GATED_PATH = "/meta/net/resolve/0123abc/net.ckpt"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Where the service looks, and no token anywhere."""
    monkeypatch.setenv("SAM3D_CHECKPOINT_DIR", str(tmp_path / "service" / "sam3d"))
    monkeypatch.setenv("SAM3D_MASK_DIR", str(tmp_path / "service" / "masks"))
    monkeypatch.setattr(token, "SECRET_FILE", tmp_path / "hf_token")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path


@pytest.fixture
def small(site, folders, monkeypatch):
    """Small sets in the place of the real ones, which the site has."""

    def file(name, content, source):
        return WeightFile(name, len(content), hashlib.sha256(content).hexdigest(), "MIT", (source,))

    for name in list(SETS):
        url = Url(f"{site.address}/{name}")
        site.pages[f"/{name}"] = MASK
        monkeypatch.setitem(
            SETS, name, WeightSet(SETS[name].folder, SETS[name].below, (file(f"{name}.onnx", MASK, url),))
        )
    hub = HubFile("meta/net", "0123abc", "net.ckpt", gated=True)
    monkeypatch.setitem(
        SETS, "sam3d", WeightSet(SETS["sam3d"].folder, SETS["sam3d"].below, (file("net.ckpt", GATED, hub),))
    )
    site.pages[GATED_PATH] = GATED
    monkeypatch.setenv("HF_ENDPOINT", site.address)
    monkeypatch.setattr(download, "PAUSES_SECONDS", ())
    return site


@pytest.fixture
def token_file(folders):
    path = folders / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def run(*arguments, status=0):
    result = CliRunner().invoke(main, ["weights", *(str(argument) for argument in arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def found(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_all_sets_come_into_one_folder_and_are_verified_there(small, folders, token_file):
    output = run("fetch", "--set", "all", "--to", folders / "app", "--token-file", token_file)
    assert found(folders / "app") == [
        "hf/net.ckpt",
        "mask/mask-isnet-general-use.onnx",
        "mask/mask.onnx",
        "prompts/prompts.onnx",
        "size/size.onnx",
    ]
    assert f"The set 'sam3d' is complete in {folders / 'app' / 'hf'}." in output
    assert run("verify", folders / "app").count("is complete.") == len(SETS)
    assert "Default: the folders that the service uses." in " ".join(run("fetch", "--help").split())


def test_a_set_comes_to_where_the_service_looks(small, folders, token_file):
    run("fetch")
    assert found(folders / "service") == ["masks/mask.onnx"]
    assert run("verify") == "The set 'mask' is complete.\n"
    run("fetch", "--set", "sam3d", "--token-file", token_file)
    assert found(folders / "service") == ["masks/mask.onnx", "sam3d/net.ckpt"]
    assert run("verify", "--set", "sam3d", "--sizes") == "The set 'sam3d' is complete (only sizes were checked).\n"


def test_failing_set_does_not_prevent_the_others(small, folders):
    del small.pages["/mask"]
    output = run("fetch", "--set", "all", "--to", folders / "app", status=1)
    assert found(folders / "app") == ["mask/mask-isnet-general-use.onnx", "prompts/prompts.onnx", "size/size.onnx"]
    assert "mask.onnx could not be fetched. 127.0.0.1" in output
    assert "Accept it at huggingface.co/meta/net" in output


def test_a_wrong_byte_is_named_unless_only_sizes_are_compared(small, folders, token_file):
    run("fetch", "--set", "all", "--to", folders / "app", "--token-file", token_file)
    file = folders / "app" / "hf" / "net.ckpt"
    file.write_bytes(GATED[:-1] + b"?")
    assert "net.ckpt has the wrong content" in run("verify", folders / "app", status=1)
    run("verify", folders / "app", "--sizes")
    file.write_bytes(GATED[:-1])
    said = "net.ckpt has 13,999 bytes instead of 14,000."
    assert run("verify", folders / "app", "--sizes", "--set", "sam3d", status=1) == f"Error: {said}\n"


def test_the_real_manifest_names_what_is_missing(folders):
    assert run("verify", status=1) == "Error: u2netp.onnx is missing (4,574,861 bytes).\n", "a sentence, nothing else"
    output = run("verify", folders / "app", status=1)
    assert "ss_generator.ckpt is missing (6,690,136,964 bytes)." in output
    assert "slat_decoder_gs_4.ckpt is missing (170,269,801 bytes); the service can run without it." in output
    assert "isnet-general-use.onnx is missing" in output


def test_a_folders_own_manifest_is_looked_at_where_the_service_looks(folders):
    checkpoints = folders / "service" / "sam3d"
    checkpoints.mkdir(parents=True)
    tiny = {"size": 4, "sha256": hashlib.sha256(b"tiny").hexdigest()}
    (checkpoints / "manifest.json").write_text(json.dumps({"files": {"pipeline.yaml": tiny}}))
    (checkpoints / "pipeline.yaml").write_bytes(b"tinY")
    assert "wrong content" in run("verify", "--set", "sam3d", status=1)
    (checkpoints / "pipeline.yaml").write_bytes(b"tiny")
    assert "complete" in run("verify", "--set", "sam3d")


def test_the_list_has_a_line_for_each_file_with_licence_and_source():
    lines = [line.split("\t") for line in run("list").splitlines()]
    assert len(lines) == sum(len(weight_set.files) for weight_set in SETS.values())
    by_name = {line[1]: line for line in lines}
    assert by_name["moge/model.pt"] == [
        "sam3d",
        "moge/model.pt",
        "1256823446",
        "da96b09a0485a3c45a5aa455e67743c8b4efc4dd8437c1f2aa93c2b4303d957f",
        "MIT",
        "hf://Ruicheng/moge-vitl@ad326bfb61facd6c52b5a825bc1e34d7c97d9672/model.pt",
    ]
    assert {line[4] for line in lines} == {"Apache-2.0", "MIT", "MIT AND Apache-2.0", "SAM License"}
    assert run("list", "--set", "mask").count("\n") == 1


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "variable"])
@pytest.mark.parametrize(
    ("page", "good"),
    [
        (Page(GATED), True),
        (Page(TOKEN.encode(), 401, reason=TOKEN, headers={"X-Echo": TOKEN}), False),
        (Page(TOKEN.encode(), 403, reason=TOKEN), False),
        (Page(status=500, reason=TOKEN), False),
        (Page(status=302, headers={"Location": f"http://{TOKEN}/{TOKEN}"}), False),
        (Page(status=f"{TOKEN} {TOKEN}"), False),
        (Page(TOKEN.encode().ljust(len(GATED))), False),
        (Page(GATED, ranges=False, headers={"Content-Length": len(GATED) + 1}), False),
    ],
    ids=["good", "401", "403", "500", "redirect", "no-http", "wrong", "other-size"],
)
def test_the_token_is_in_nothing_that_is_printed_or_logged(
    page, good, by_file, small, folders, token_file, monkeypatch, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    small.pages[GATED_PATH] = page
    given = ["--token-file", str(token_file)] if by_file else []
    if not by_file:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    command = ["weights", "fetch", "--set", "sam3d", "--to", str(folders), *given]
    result = CliRunner().invoke(main, command, standalone_mode=False)
    assert (result.exception is None) == good
    traces = "".join(traceback.format_exception(result.exception)) if result.exception else ""
    assert TOKEN not in result.output + traces + caplog.text + "".join(capfd.readouterr())
    assert [headers["Authorization"] for _, headers in small.requests] == [f"Bearer {TOKEN}"]


def test_on_a_terminal_there_is_a_bar_for_each_file_and_one_for_all(small, folders, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(weights, "console", console)
    run("fetch")
    shown = screen.getvalue()
    assert "mask.onnx is fetched and verified." in shown
    assert "total" in shown
    assert "13.0/13.0 kB" in shown


def test_elsewhere_there_is_a_line_for_each_step(small, folders):
    output = run("fetch")
    assert output.splitlines() == [
        f"Fetching mask.onnx (13,000 bytes) from {small.address}/mask ...",
        "mask.onnx is fetched and verified.",
        f"The set 'mask' is complete in {folders / 'service' / 'masks'}.",
    ]


def test_an_image_build_needs_little_of_the_project_to_fetch():
    program = """if True:
        import sys, sam3d_bento.cli.weights
        print(*sorted(name for name in sys.modules if name.startswith("sam3d_bento.")))
        assert not {"torch", "numpy", "bentoml", "starlette"} & set(sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    others = {name for name in done.stdout.split() if not name.startswith("sam3d_bento.weights")}
    assert others == {"sam3d_bento.settings", *(f"sam3d_bento.cli{name}" for name in ("", ".terminal", ".weights"))}


def test_the_commands_run_as_a_module():
    for module, arguments in (("cli.weights", ["list"]), ("cli", ["weights", "list"])):
        command = [sys.executable, "-m", f"sam3d_bento.{module}", *arguments]
        assert "ss_generator.ckpt" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
