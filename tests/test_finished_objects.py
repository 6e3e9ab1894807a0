from sam3d_bento.finished_objects import FinishedObjects
from sam3d_bento.submission import Asset

ASSET = Asset(b"glb", {"faces": 5, "camera": None})


def test_a_finished_object_is_found_again(tmp_path):
    FinishedObjects(tmp_path / "objects").save(3, ASSET)
    assert FinishedObjects(tmp_path / "objects").load(3) == ASSET
    assert FinishedObjects(tmp_path / "objects").load(2) is None


def test_without_a_folder_nothing_is_kept():
    FinishedObjects(None).save(0, ASSET)
    assert FinishedObjects(None).load(0) is None


def test_an_object_that_was_being_written_when_the_process_died_is_not_there(tmp_path):
    (tmp_path / "0.glb").write_bytes(b"half of i")
    (tmp_path / "1.json").write_text("{")
    assert FinishedObjects(tmp_path).load(0) is None
    assert FinishedObjects(tmp_path).load(1) is None


def test_what_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "objects").write_bytes(b"a file")
    FinishedObjects(tmp_path / "objects").save(0, ASSET)
    assert FinishedObjects(tmp_path / "objects").load(0) is None
