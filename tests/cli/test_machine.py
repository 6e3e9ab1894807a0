from sam3d_bento.cli import machine


def test_versions_are_those_that_are_installed():
    versions = machine.versions()
    assert versions["python"].startswith("3.11.")
    assert versions["bentoml"] == "1.4.40"
    assert set(machine.PACKAGES) < set(versions)


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path):
    disk = machine.disk(tmp_path / "a" / "b")
    assert (disk["exists"], disk["writable"]) == (False, True)
    assert 0 < disk["free_bytes"] <= disk["total_bytes"]
    (tmp_path / "file").touch()
    assert not machine.disk(tmp_path / "file" / "below")["writable"]


def test_the_system_is_told_in_numbers():
    system = machine.system()
    assert system["cpus"] >= 1
    assert system["memory_bytes"] > 1e8
