"""The developer's entry: the sessions behind `make lint|test|bench`."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

PACKAGES = ["signing", "vendor", "images", "router", "appliance"]
# One environment for all sessions: the locks are the same, and installing it takes a minute.
VENV = "build/venvs/test"
PATHS = [*PACKAGES, "tests", "benchmarks", "noxfile.py"]


def _install(session: nox.Session) -> None:
    # From the pool, so that what another environment or the bundle fetched is not fetched again.
    python = f"{session.bin}/python"
    session.run(".venv/bin/routeiq", "vendor", "install", "test", "--python", python, external=True)
    editable = [argument for package in PACKAGES for argument in ("-e", f"./{package}")]
    session.install("--quiet", "--no-deps", "--no-index", "--no-build-isolation", *editable)


@nox.session(venv_location=VENV)
def lint(session: nox.Session) -> None:
    _install(session)
    session.run("ruff", "check", *PATHS)
    session.run("ruff", "format", "--check", *PATHS)
    session.run("mypy", *(f"{package}/routeiq_{package}" for package in PACKAGES))
    session.run("lint-imports")


@nox.session(venv_location=VENV)
def unit(session: nox.Session) -> None:
    _install(session)
    session.run("pytest", "-m", "not e2e", *session.posargs)


@nox.session(venv_location=VENV)
def e2e(session: nox.Session) -> None:
    _install(session)
    session.run("pytest", "-m", "e2e", *session.posargs)


@nox.session(venv_location=VENV)
def bench(session: nox.Session) -> None:
    _install(session)
    session.run("python", "benchmarks/verify_rate.py")
    session.run("python", "benchmarks/routing_latency.py")
