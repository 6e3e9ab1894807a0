"""Loading: complete files, allowed configurations, local sources; the same weights as upstream's own loading."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml

from sam3d_bento.errors import NotReady

pytestmark = pytest.mark.usefixtures("upstream")

LOAD = """
import sys
from sam3d_bento.engines.sam3d.inference import Inference
from sam3d_bento.errors import NotReady
try:
    Inference(sys.argv[1], device="cpu")
except NotReady as error:
    assert "torch" not in sys.modules, "told before torch is imported"
    print(error.detail)
"""


@pytest.fixture
def copy(checkpoints, tmp_path):
    return shutil.copytree(checkpoints, tmp_path / "copy")


def edit(folder, name, change):
    config = yaml.safe_load((folder / name).read_text())
    change(config)
    (folder / name).write_text(yaml.safe_dump(config))
    from tests.support.tiny import write_manifest

    (folder / "manifest.json").unlink()
    write_manifest(folder)


def load(folder):
    from sam3d_bento.engines.sam3d.inference import Inference

    return Inference(str(folder / "pipeline.yaml"), device="cpu")


def test_missing_and_truncated_files_are_named_before_torch_is_imported(copy):
    size = (copy / "ss_generator.ckpt").stat().st_size
    (copy / "ss_decoder.ckpt").unlink()
    (copy / "ss_generator.ckpt").write_bytes(b"short")
    said = subprocess.run(
        [sys.executable, "-c", LOAD, str(copy / "pipeline.yaml")], check=True, capture_output=True, text=True
    ).stdout
    assert "ss_decoder.ckpt is missing" in said
    assert f"ss_generator.ckpt has 5 bytes instead of {size:,}" in said
    assert str(copy) not in said


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.os.system",  # begins with an allowed name, but is not torch's
        "builtins.eval",
        "torch.hub.load",
        "torch.load",
        "subprocess.Popen",
        "torch.utils.collect_env.run",
        "torch.utils.collect_env.run_and_read_all",
        "torch.serialization.load",
        "torch.jit.load",
        "torch.nn.Identity",  # harmless, but in no released configuration
        "torchvision.io.read_file",
        "sam3d_objects.model.io.load_model_from_checkpoint",
        "sam3d_objects.no.such.thing",
    ],
)
@pytest.mark.parametrize("file", ["pipeline.yaml", "ss_decoder.yaml"])
def test_a_configuration_that_names_no_model_code_is_refused(copy, target, file):
    edit(copy, file, lambda config: config.update(extra={"deep": [{"_target_": target}]}))
    with pytest.raises(NotReady, match=rf"{file} names '{target}'"):
        load(copy)


def test_weights_are_those_that_upstream_itself_loads(checkpoints, tmp_path):
    import torch

    from tests.support.reference import stock

    theirs, ours = stock(checkpoints, tmp_path / "stock"), load(checkpoints).pipeline
    modules = {name: (theirs.models[name], ours.models[name]) for name in ours.models if ours.models[name] is not None}
    modules |= {
        name: (theirs.condition_embedders[name], embedder) for name, embedder in ours.condition_embedders.items()
    }
    modules["depth_model"] = theirs.depth_model.model, ours.depth_model.model
    assert len(modules) == 8
    masters = ours.residency._masters
    for name, (stock_module, own_module) in modules.items():
        own_tensors = {
            f"{path}.{key}".lstrip("."): masters[id(holder), key]
            for path, module in own_module.named_modules(remove_duplicate=False)
            for holder in (module._parameters, module._buffers)
            for key, tensor in holder.items()
            if tensor is not None
        }
        expected = dict(stock_module.named_parameters()) | dict(stock_module.named_buffers())
        assert own_tensors.keys() == expected.keys(), name
        assert all(torch.equal(own_tensors[key], expected[key]) for key in expected), name
        assert not own_module.training


def test_the_four_equal_backbones_become_one(checkpoints, half_checkpoints):
    from sam3d_objects.model.backbone.dit.embedder.dino import Dino

    embedders = load(checkpoints).pipeline.condition_embedders.values()
    backbones = [module.backbone for part in embedders for module in part.modules() if isinstance(module, Dino)]
    assert len(backbones) == 4
    assert len({id(backbone) for backbone in backbones}) == 1


def test_backbones_that_differ_stay_apart(copy):
    import torch
    from sam3d_objects.model.backbone.dit.embedder.dino import Dino

    checkpoint = torch.load(copy / "slat_generator.ckpt", weights_only=True)
    name = next(key for key in checkpoint["state_dict"] if key.endswith("module_list.1.backbone.norm.weight"))
    checkpoint["state_dict"][name][0] += 1e-6
    torch.save(checkpoint, copy / "slat_generator.ckpt")
    edit(copy, "pipeline.yaml", lambda config: None)
    embedders = load(copy).pipeline.condition_embedders.values()
    backbones = [module.backbone for part in embedders for module in part.modules() if isinstance(module, Dino)]
    assert len({id(backbone) for backbone in backbones}) == 2


def test_nothing_of_the_fourth_decoder_is_needed_and_compilation_stays_off(checkpoints):
    assert yaml.safe_load((checkpoints / "pipeline.yaml").read_text())["compile_model"] is True
    assert not (checkpoints / "slat_decoder_gs_4.ckpt").exists()
    pipeline = load(checkpoints).pipeline
    assert pipeline.compile_model is False
    assert pipeline.models["slat_decoder_gs_4"] is None


def test_a_checkpoint_of_another_shape_is_named(copy):
    edit(copy, "ss_decoder.yaml", lambda config: config.update(channels=[8, 8, 16]))
    with pytest.raises(NotReady, match=r"ss_decoder\.ckpt does not fit"):
        load(copy)


def test_a_checkpoint_with_more_than_tensors_is_read_as_upstream_does(copy):
    import torch

    checkpoint = torch.load(copy / "slat_generator.ckpt", weights_only=True)
    torch.save(checkpoint | {"hyper_parameters": object()}, copy / "slat_generator.ckpt")
    edit(copy, "pipeline.yaml", lambda config: None)
    assert load(copy).pipeline.models["slat_generator"] is not None


class Planted:
    """Its unpickling makes a file."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (self.place, "w")


@pytest.mark.parametrize("listed", [False, True])
def test_only_a_checkpoint_that_the_manifest_lists_is_unpickled(copy, tmp_path, listed):
    import torch

    checkpoint = torch.load(copy / "slat_generator.ckpt", weights_only=True)
    torch.save(checkpoint | {"planted": Planted(str(tmp_path / "ran"))}, copy / "slat_generator.ckpt")
    edit(copy, "pipeline.yaml", lambda config: None)
    if listed:
        load(copy)
    else:
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["files"]["slat_generator.ckpt"]["sha256"] = "0" * 64
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(NotReady, match=r"slat_generator\.ckpt holds more than tensors"):
            load(copy)
    assert (tmp_path / "ran").exists() is listed


def test_a_configuration_that_was_changed_is_named_at_the_start(copy):
    path = copy / "ss_decoder.yaml"
    path.write_text(path.read_text().replace("num_res_blocks: 1", "num_res_blocks: 2"))
    with pytest.raises(NotReady, match=r"ss_decoder\.yaml has the wrong content"):
        load(copy)


def test_a_configuration_that_no_manifest_lists_is_used_if_it_names_model_code_only(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["ss_decoder.yaml"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert load(copy).pipeline.models["ss_decoder"] is not None
    (copy / "ss_decoder.yaml").write_text("_target_: torch.utils.collect_env.run\ncommand: id\n")
    with pytest.raises(NotReady, match=r"ss_decoder\.yaml names 'torch\.utils\.collect_env\.run'"):
        load(copy)


def test_what_lies_beside_the_listed_code_of_dinov2_is_not_imported(copy, tmp_path):
    hubconf = copy / "dinov2" / "hubconf.py"
    hubconf.write_text("try:\n    import planted_beside\nexcept ImportError:\n    pass\n" + hubconf.read_text())
    edit(copy, "pipeline.yaml", lambda config: None)
    (copy / "dinov2" / "planted_beside.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert load(copy).pipeline is not None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", ["elsewhere", "/elsewhere", "../elsewhere"])
def test_code_from_a_folder_that_the_manifest_does_not_list_is_refused(copy, place):
    def take_from_elsewhere(config):
        node = config["module"]["condition_embedder"]["backbone"]["embedder_list"][0][0]
        node.update(source="local", repo_or_dir=place)

    edit(copy, "ss_generator.yaml", take_from_elsewhere)
    with pytest.raises(NotReady, match=r"ss_generator\.yaml takes code from a folder"):
        load(copy)


def test_the_code_of_dinov2_may_have_another_name_in_the_folder(copy):
    (copy / "dinov2").rename(copy / "own_backbone")

    def take_from_there(config):
        for node, _ in config["module"]["condition_embedder"]["backbone"]["embedder_list"][:2]:
            node.update(source="local", repo_or_dir="own_backbone", backbone_kwargs={"pretrained": False})

    for name in ("ss_generator.yaml", "slat_generator.yaml"):
        edit(copy, name, take_from_there)
    assert load(copy).pipeline is not None


def test_every_name_that_is_allowed_is_there_and_of_its_kind(upstream):
    import inspect

    from hydra.utils import get_object

    from sam3d_bento.engines.sam3d.loading import targets

    assert [name for name in targets.CLASSES if not inspect.isclass(get_object(name))] == []
    functions = targets.HANDED_ON | targets.CALLED
    assert [name for name in functions if not callable(get_object(name)) or inspect.isclass(get_object(name))] == []


def test_initialisation_is_back_after_loading(checkpoints):
    import torch

    load(checkpoints)
    weight = torch.full((4,), float("nan"))
    torch.nn.init.uniform_(weight)
    assert weight.isfinite().all()


def test_the_files_may_go_away_after_loading(copy):
    """They are mapped while they are read; a weight that stayed mapped would end the process with a bus error."""
    pipeline = load(copy).pipeline
    for file in copy.glob("*.ckpt"):
        file.write_bytes(b"")
    assert all(tensor.float().sum().isfinite() for tensor in pipeline.residency._masters.values())
