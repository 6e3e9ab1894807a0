"""The files of deploy/runpod against the code that they start."""

import json
import re
from pathlib import Path

import pytest

from sam3d_bento.options import Options
from sam3d_bento.serverless import job_input
from sam3d_bento.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "runpod"
README = (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", ["pod-template", "serverless-endpoint"])
def test_the_settings_of_a_template_are_settings_of_the_service(name):
    environment = json.loads((FOLDER / f"{name}.json").read_text())["env"]
    assert Settings.unknown_names(environment) == []
    assert Settings.from_environ(environment)


def test_every_field_of_a_job_is_described_with_its_default():
    rows = (line.strip("|").split(" | ") for line in README.splitlines() if line.startswith("| `"))
    described = {name: row[1].strip(" `") for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(job_input.FIELDS) <= set(described)
    for name, field in Options.model_fields.items():
        if field.default is not None:
            assert described[name] == json.dumps(field.default).strip('"')


def test_the_examples_of_an_input_name_real_fields():
    examples = re.findall(r'\{"input": (\{.*?\})\}', README)
    assert examples
    for example in examples:
        assert set(json.loads(example)) <= set(job_input.FIELDS)
