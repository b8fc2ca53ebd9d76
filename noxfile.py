"""The developer's entry: the sessions behind `make lint|test|bench`.

They share one environment, `build/venvs/test`: the lock is one, and installing it takes half a minute.
"""

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"

PACKAGES = ["signing", "vendor", "images", "router", "appliance"]
PATHS = [*PACKAGES, "tests", "benchmarks", "noxfile.py"]
VENV = Path("build/venvs/test")
BIN = VENV / "bin"


@nox.session
def environment(session: nox.Session) -> None:
    """Create the environment, or bring it up to the lock."""
    if not (BIN / "python").exists():
        session.run(sys.executable, "-m", "venv", str(VENV))
    # From the pool, so that what another environment or the bundle fetched is not fetched again.
    session.run(".venv/bin/routeiq", "vendor", "install", "test", "--python", f"{BIN}/python")
    editable = [argument for package in PACKAGES for argument in ("-e", f"./{package}")]
    pip = [f"{BIN}/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    session.run(*pip, "--no-build-isolation", *editable)


@nox.session(requires=["environment"])
def lint(session: nox.Session) -> None:
    session.run(f"{BIN}/ruff", "check", *PATHS)
    session.run(f"{BIN}/ruff", "format", "--check", *PATHS)
    session.run(f"{BIN}/mypy", *(f"{package}/routeiq_{package}" for package in PACKAGES))
    session.run(f"{BIN}/lint-imports")


@nox.session(requires=["environment"])
def unit(session: nox.Session) -> None:
    # One process a core; what is left of a slow file goes to the one that is idle.
    parallel = ["-n", "auto", "--dist", "worksteal"]
    session.run(f"{BIN}/python", "-m", "pytest", "-m", "not e2e", *parallel, *session.posargs)


@nox.session(requires=["environment"])
def e2e(session: nox.Session) -> None:
    session.run(f"{BIN}/python", "-m", "pytest", "-m", "e2e", *session.posargs)


@nox.session(requires=["environment"])
def bench(session: nox.Session) -> None:
    session.run(f"{BIN}/python", "benchmarks/verify_rate.py")
    session.run(f"{BIN}/python", "benchmarks/router/run.py", "--only", "latency")


@nox.session(name="bench-router", requires=["environment"])
def bench_router(session: nox.Session) -> None:
    session.run(f"{BIN}/python", "benchmarks/router/run.py", *session.posargs)


@nox.session(name="bench-gateway", requires=["environment"])
def bench_gateway(session: nox.Session) -> None:
    session.run(f"{BIN}/python", "benchmarks/gateway/run.py", *session.posargs)
