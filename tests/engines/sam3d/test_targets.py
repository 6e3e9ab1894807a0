import random
import string

import pytest

from sam3d_bento.engines.sam3d.loading import targets
from sam3d_bento.engines.sam3d.memory.architecture import RELEASED
from tests.support import tiny

PARTIAL = sorted(targets.HANDED_ON)[0]


@pytest.mark.parametrize(
    "config",
    [
        {},
        *RELEASED.values(),
        tiny.pipeline(),
        tiny.ss_generator(),
        tiny.slat_generator(half=True),
        tiny.ss_decoder(),
        tiny.gaussian_decoder(half=True),
        tiny.mesh_decoder(64, half=True),
        {"loss_weights": {"_target_": "sam3d_objects.config.utils.make_dict", "shape": 0}},  # Meta's ss_generator.yaml
    ],
)
def test_the_released_configurations_and_the_tiny_ones_are_allowed(config):
    assert targets.forbidden(config) is None


DANGEROUS = [
    "torch.utils.collect_env.run",
    "torch.utils.collect_env.run_and_read_all",
    "torch.os.system",
    "torch.serialization.load",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load_inline",
    "torch.distributed.launcher.api.elastic_launch",
    "torch.testing._internal.common_utils.shell",
    "torch.ops.load_library",
    "torchvision.io.read_file",
    "torchvision.datasets.utils.download_url",
    "sam3d_objects.model.io.load_model_from_checkpoint",
    "sam3d_objects.config.utils.get_item",
    "moge.utils.io.save_glb",
    "moge.model.v1.MoGeModel",
    "hydra.utils.instantiate",
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "eval",
    "",
    "None",
]


@pytest.mark.parametrize("target", DANGEROUS)
@pytest.mark.parametrize("partial", [True, False])
def test_nothing_else_is_allowed_at_whatever_depth(target, partial):
    node = {"_target_": target, "_partial_": partial}
    for config in (node, {"a": [1, {"b": [[node]]}]}, tiny.pipeline() | {"extra": node}):
        assert targets.forbidden(config) == target


@pytest.mark.parametrize("target", sorted(targets.CLASSES | targets.CALLED))
def test_name_that_resembles_an_allowed_target_is_refused(target):
    package, _, name = target.rpartition(".")
    changed = [f"{target} ", f" {target}", f"{target}.__init__", f"{target}.__class__", package, name, target.upper()]
    changed += [f"{target}\n", f"x.{target}", f"{package}..{name}", target.replace(".", "/")]
    for other in changed:
        assert targets.forbidden({"_target_": other}) == other


def test_a_function_is_handed_on_and_never_called():
    assert targets.forbidden({"_target_": PARTIAL, "_partial_": True}) is None
    for partial in (False, None, "true", 1):
        assert targets.forbidden({"_target_": PARTIAL, "_partial_": partial}) == PARTIAL
    assert targets.forbidden({"_target_": PARTIAL}) == PARTIAL


@pytest.mark.parametrize("target", [None, 1, ["os", "system"], {"a": 1}])
def test_a_target_that_is_no_text_is_refused(target):
    assert targets.forbidden({"_target_": target}) == str(target)


def test_no_text_at_random_is_allowed():
    letters = random.Random(0)
    for _ in range(2000):
        name = "torch." + "".join(letters.choices(string.ascii_lowercase + "._", k=letters.randrange(30)))
        assert targets.forbidden([{"_target_": name}]) == name
