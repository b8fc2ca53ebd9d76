import pytest
from threadpoolctl import threadpool_info

from routeiq_router.errors import RouterError
from routeiq_router.training.pinned import ENVIRONMENT, is_pinned, pinned_threads


def test_training_in_an_unpinned_process_is_refused(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    with pytest.raises(RouterError, match="not started with pinned") as caught:
        pinned_threads()
    assert "OPENBLAS_CORETYPE=Haswell" in (caught.value.hint or "")


def test_pinned_means_every_variable(monkeypatch):
    assert is_pinned(ENVIRONMENT)
    assert not is_pinned({**ENVIRONMENT, "OMP_NUM_THREADS": "2"})
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with pinned_threads():
        assert all(pool["num_threads"] == 1 for pool in threadpool_info())
