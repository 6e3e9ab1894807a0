from sam3d_bento.serving.worker.state import State


def test_a_worker_has_a_loaded_engine_a_future_without_one_or_none():
    assert {state for state in State if state.loaded} == {State.READY, State.BUSY}
    assert {state for state in State if state.final} == {State.FAILED, State.STOPPED}
    assert not [state for state in State if state.loaded and state.final]
