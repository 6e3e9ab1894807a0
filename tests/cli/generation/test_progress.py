import io

from rich.console import Console

from sam3d_bento.cli.generation import progress
from sam3d_bento.cli.generation.progress import JobProgress
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.submission import STAGES


def shown(console, moments, **options):
    with progress.bar(console, "[red]cup.jpg", **options) as on_progress:
        for moment in moments:
            on_progress(moment)
    return console.file.getvalue()


MOMENTS = [JobProgress("queued", 0.0, 9.6), JobProgress("mask", 0.25, 6.0), JobProgress("export", 0.5)]


def test_a_terminal_shows_stage_share_and_seconds_left():
    said = shown(Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None), MOMENTS)
    for text in (
        "[red]cup.jpg",
        "0 % queued about 10 s left",
        "25 % mask   about 6 s left",
        "50 % export about 0 s left",
    ):
        assert " ".join(text.split()) in " ".join(said.split())


def test_nothing_is_shown_on_anything_else_nor_if_quiet():
    assert shown(Console(file=io.StringIO(), force_terminal=False), MOMENTS) == ""
    assert shown(Console(file=io.StringIO(), force_terminal=True), MOMENTS, quiet=True) == ""


def test_stages_become_shares_of_the_whole_job():
    moments = []
    run_times = RunTimes()
    report = progress.of_stages(run_times, moments.append)
    report("decode", 0.0)
    report("export", 1.0)
    assert [(moment.stage, moment.fraction) for moment in moments] == [("decode", 0.0), ("export", 1.0)]
    run_times.learn(dict.fromkeys(STAGES, 2.0))
    report("reconstruct", 0.5)
    assert moments[-1] == JobProgress("reconstruct", 0.625, 3.0)
