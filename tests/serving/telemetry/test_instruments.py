import subprocess
import sys
import threading

from prometheus_client import CollectorRegistry, generate_latest

from sam3d_bento.serving.telemetry.instruments import Counter, Histogram

PROGRAM = """
from prometheus_client import CollectorRegistry, generate_latest
from sam3d_bento.serving.telemetry.instruments import Counter, Histogram
registry = CollectorRegistry()
Counter("eggs", "Eggs laid.", ("hen",), registry=registry).labels("anna").inc()
Histogram("wait_seconds", "Waits.", registry=registry).observe(1.0)
print(generate_latest(registry).decode())
"""


def test_they_write_no_file_where_bentoml_wants_one_of_every_process(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert 'eggs_total{hen="anna"} 1.0' in done.stdout
    assert "wait_seconds_sum 1.0" in done.stdout
    assert "_created" not in done.stdout, "one series less for each combination of labels"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_lost_between_threads():
    registry = CollectorRegistry()
    counter, histogram = Counter("n", "N.", registry=registry), Histogram("s", "S.", registry=registry)

    def count():
        for _ in range(1000):
            counter.inc()
            histogram.observe(1.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"n_total 4000.0", "s_count 4000.0"} <= set(generate_latest(registry).decode().splitlines())
