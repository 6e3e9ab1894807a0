import base64
import json

import pytest

from sam3d_bento.errors import EngineLost, NoObject, TooLarge
from sam3d_bento.serverless import answers

RUNPOD_LIMIT_BYTES = 10_000_000


def test_a_small_result_comes_with_the_report():
    answer = answers.inline({"engine": "preview"}, b"glTF" * 100)
    assert answer["engine"] == "preview"
    assert base64.b64decode(answer["glb_base64"]) == b"glTF" * 100


def test_the_largest_answer_fits_into_what_runpod_carries():
    report = {"engine": "preview"}
    overhead = len(json.dumps(report))
    largest = (answers.MAX_ANSWER_BYTES - overhead) // 4 * 3
    assert len(json.dumps(answers.inline(report, bytes(largest)))) < RUNPOD_LIMIT_BYTES
    with pytest.raises(TooLarge, match=r"'output_url'.*'texture_size'.*'target_faces'"):
        answers.inline(report, bytes(largest + 3))


@pytest.mark.parametrize("error", [NoObject("Nothing here."), EngineLost("It died.")])
def test_an_error_is_a_text_that_holds_what_a_problem_document_holds(error):
    answer = answers.failure(error)
    assert list(answer) == ["error"]
    assert json.loads(answer["error"]) == {"code": error.code, "detail": error.detail, "retryable": error.retryable}
