import pytest

from sam3d_bento.serving.child import EngineProcess
from sam3d_bento.serving.messages import Start

PATIENCE = 60


@pytest.mark.parametrize("loader", ["FakeRunner", "missing", "broken"])
def test_a_service_that_goes_away_during_the_load_is_no_fault_of_the_engine(settings, capfd, loader):
    """It ends without a word, beyond what the load itself has to say."""
    engine = EngineProcess()
    engine.pipe.send(Start(f"fake_runner:{loader}", settings))
    assert engine.end(PATIENCE) == 1
    assert "Pipe" not in capfd.readouterr().err
