from sam3d_bento.serving.worker.state import WorkerState


def test_a_worker_has_a_loaded_engine_a_future_without_one_or_none():
    assert {state for state in WorkerState if state.loaded} == {WorkerState.READY, WorkerState.BUSY}
    assert {state for state in WorkerState if state.final} == {WorkerState.FAILED, WorkerState.STOPPED}
    assert not [state for state in WorkerState if state.loaded and state.final]
