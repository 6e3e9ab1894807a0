"""Each promise of docs/reliability.md names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PROMISES = (TESTS.parent / "docs" / "reliability.md").read_text()


def existing():
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name


def test_every_promise_names_a_test_that_exists():
    promises = PROMISES.partition("## Fuzzing")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 30
    known = set(existing())
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert known.issuperset(named), row


def test_every_fault_that_is_tried_is_promised():
    for path in (TESTS / "faults").glob("test_*.py"):
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M):
            assert name in PROMISES, name
