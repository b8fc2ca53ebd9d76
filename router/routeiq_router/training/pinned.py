"""The environment in which training gives the same bytes on every CPU.

Linear algebra rounds differently by kernel and by number of threads, exponentials by vector width; OpenBLAS and numpy
choose when numpy is loaded, so they must be set before the process starts. `ENVIRONMENT` is what to start it with.
"""

import os
from collections.abc import Mapping

from threadpoolctl import threadpool_limits

from routeiq_router.errors import RouterError

__all__ = ["ENVIRONMENT", "is_pinned", "pinned_threads"]

ENVIRONMENT: Mapping[str, str] = {
    # AVX2, without the fused variants of newer cores: every x86-64 server since 2013 has it.
    "OPENBLAS_CORETYPE": "Haswell",
    # numpy's own exp and log differ in their last digit between AVX-512 and AVX2 (measured, numpy 2.4).
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def is_pinned(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this process was started with `ENVIRONMENT`."""
    return all(environ.get(name) == value for name, value in ENVIRONMENT.items())


def pinned_threads() -> threadpool_limits:
    """Return a context in which every thread pool has one thread; raises `RouterError` when kernels vary."""
    if not is_pinned():
        raise RouterError(
            "training: the process was not started with pinned linear-algebra kernels",
            hint="use `routeiq router train`, or start with "
            + " ".join(f"{k}={v}" for k, v in ENVIRONMENT.items()),
        )
    return threadpool_limits(limits=1)
