import threading

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from sam3d_bento.serving.telemetry.instruments import Spread, Tally


def samples(instrument):
    """What Prometheus reads of it: {(name, labels): value}."""

    class One(Collector):
        def collect(self):
            yield instrument.family()

    registry = CollectorRegistry()
    registry.register(One())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_a_tally_counts_each_combination_of_labels():
    tally = Tally("eggs", "Eggs laid.", ("hen", "size"))
    tally.add("anna", "big")
    tally.add("anna", "big")
    tally.add("berta", "small", count=3)
    assert samples(tally) == {
        ("eggs_total", ("hen", "anna"), ("size", "big")): 2,
        ("eggs_total", ("hen", "berta"), ("size", "small")): 3,
    }


def test_a_tally_may_be_there_before_it_counts():
    tally = Tally("eggs", "Eggs laid.", ())
    tally.add(count=0)
    assert samples(tally) == {("eggs_total",): 0}


def test_a_bucket_holds_all_that_is_at_most_its_bound():
    spread = Spread("wait_seconds", "Waits.", ("queue",), buckets=(1.0, 2.5))
    for value in (0.5, 1.0, 2.0, 99.0):
        spread.add(value, "a")
    found = samples(spread)
    for bound, count in (("1.0", 2), ("2.5", 3), ("+Inf", 4)):
        assert found["wait_seconds_bucket", ("le", bound), ("queue", "a")] == count
    assert found["wait_seconds_count", ("queue", "a")] == 4
    assert found["wait_seconds_sum", ("queue", "a")] == 102.5


def test_nothing_is_lost_between_threads():
    tally, spread = Tally("n", "N.", ()), Spread("s", "S.", ())

    def count():
        for _ in range(1000):
            tally.add()
            spread.add(1.0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(tally)[("n_total",)] == 4000
    assert samples(spread)[("s_count",)] == 4000
