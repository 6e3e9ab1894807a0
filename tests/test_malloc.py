from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")


def printed(program: str) -> int:
    """What a process of its own prints: the settings are those of a whole process."""
    done = subprocess.run([sys.executable, "-c", dedent(program)], check=True, capture_output=True, text=True)
    return int(done.stdout)


FAULTS = """
    import resource
    import numpy as np
    from sam3d_bento import malloc
    {setting}
    for number in range(21):
        if number == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        arrays = [np.ones(size) for size in (2_500_000, 1_500_000, 800_000)]  # 38 MB: several of one step
        del arrays
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_was_freed_is_used_again() -> None:
    kept, taken_anew = printed(FAULTS.format(setting="malloc.keep_for_reuse()")), printed(FAULTS.format(setting=""))
    assert taken_anew > 1000
    assert kept < taken_anew / 10


def test_it_is_given_back_when_asked() -> None:
    left_mb = printed("""
        import numpy as np
        from sam3d_bento import malloc

        def resident() -> int:
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096

        malloc.keep_for_reuse()
        before = resident()
        arrays = [np.ones(2_500_000) for _ in range(12)]
        last = np.ones(1000)  # lies above the others: what is below it must go as well
        del arrays
        kept = resident() - before
        malloc.give_back()
        assert kept > 200e6, kept
        print((resident() - before) // 10**6)
    """)
    assert left_mb < 10
