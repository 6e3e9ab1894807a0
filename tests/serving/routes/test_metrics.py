import pytest
from prometheus_client import CollectorRegistry

from sam3d_bento.serving.assets import KEPT, KINDS
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.routes import metrics
from sam3d_bento.settings import Settings

ID, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def take(tmp_path):
    """The readings of a service with these settings; it has no engine, for its file of keys is missing."""

    def take(**changes):
        folders = {"work_dir": tmp_path / "work", "output_dir": tmp_path / "outputs", "api_keys_file": tmp_path / "no"}
        backend = Backend(Settings(**(folders | {"engine": "preview"} | changes)))
        families = list(metrics.take(backend))
        backend.stop()
        return {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }

    return take


NOTHING = {kind: 0 for kind in KINDS if kind != KEPT}


def test_only_results_are_held(tmp_path):
    for name, size in (
        (f"{ID}.glb", 100),
        (f"{ID}.npz", 1000),
        (f"{ID}.webp", 10),
        (f"{OTHER}.glb", 5),
        (f"{ID}.obj.zip", 7),
    ):
        (tmp_path / name).write_bytes(bytes(size))
    for name in (f".{ID}.part", "notes.txt", "short.glb", f"{ID.upper()}.glb"):
        (tmp_path / name).write_bytes(bytes(9999))
    sizes = NOTHING | {"glb": 105, "npz": 1000, "webp": 10, "obj.zip": 7}
    assert metrics.held(tmp_path) == metrics.Stock(2, sizes, kept=0)


def test_results_that_are_kept_are_counted_apart_from_those_that_expire(tmp_path):
    for name, size in ((f"{ID}.glb", 100), (f"{ID}.npz", 1000), (f"{ID}.kept", 0), (f"{OTHER}.glb", 5)):
        (tmp_path / name).write_bytes(bytes(size))
    assert metrics.held(tmp_path) == metrics.Stock(2, NOTHING | {"glb": 5}, kept=1100)


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path):
    assert metrics.held(tmp_path / "nowhere") == metrics.Stock(0, NOTHING, kept=0)


def test_a_service_that_failed_is_not_ready_and_says_what_it_is(take):
    values = take()
    assert values[("sam3d_ready",)] == 0
    assert [name for name, *labels in values if name == "sam3d_info"]
    assert values["sam3d_engine_loads_total", "engine"] == 0


def test_weights_are_verified_by_set_where_the_settings_ask_for_them(take, tmp_path):
    assert ("sam3d_weights_verified", "sam3d") not in take(engine="preview")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert take(engine="sam3d", checkpoint_dir=folder)["sam3d_weights_verified", "sam3d"] == 0
    (folder / "manifest.json").write_text('{"files": {"x": {"size": 3, "sha256": "' + "0" * 64 + '"}}}')
    (folder / "x").write_bytes(b"abc")
    assert take(engine="sam3d", checkpoint_dir=folder)["sam3d_weights_verified", "sam3d"] == 1
    (folder / "x").write_bytes(b"abcd")
    assert take(engine="sam3d", checkpoint_dir=folder)["sam3d_weights_verified", "sam3d"] == 0
    (folder / "manifest.json").write_text("no manifest")
    assert take(engine="sam3d", checkpoint_dir=folder)["sam3d_weights_verified", "sam3d"] == 0


def test_a_mask_model_of_ones_own_is_in_no_set(take):
    assert not [labels for name, *labels in take(mask_model="silueta") if name == "sam3d_weights_verified"]


def test_prometheus_takes_all_of_it(tmp_path):
    from sam3d_bento.serving.routes.metrics import BackendCollector

    backend = Backend(Settings(work_dir=tmp_path, output_dir=tmp_path, api_keys_file=tmp_path / "no"))
    CollectorRegistry().register(BackendCollector(backend))  # refuses names that come twice
    backend.stop()
