"""`routeiq demo`: tells the story on stderr, prints what came out on stdout, and always cleans up."""

import os
import secrets
import shlex
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from routeiq_appliance.cli.demo.ask import PROMPTS, Answer, ask, faults_of_answers, faults_of_egress
from routeiq_appliance.cli.demo.prepare import Prepared, prepare
from routeiq_appliance.cli.demo.stack import (
    CANARIES,
    LLM_NAME,
    MODEL_MAP,
    Endpoint,
    free_port,
    gateway_config,
    is_free,
    run_gateway,
    run_llm,
)
from routeiq_appliance.cli.sealed.debian import install_packages
from routeiq_appliance.cli.sealed.errors import ProcessError, SealError
from routeiq_appliance.cli.sealed.forward import forward_inwards
from routeiq_appliance.cli.sealed.network import SealedNetwork, missing_tools, open_sealed
from routeiq_appliance.cli.sealed.process import Service
from routeiq_appliance.cli.sealed.sensor import Reading, Sensor
from routeiq_appliance.cli.support import BarProgress
from routeiq_vendor.workspace import Workspace

__all__ = ["demo"]

_PORT = 4000
_INNER_LLM = 8081


@click.command()
@click.option(
    "--check", is_flag=True, envvar="CHECK", help="End after the check; exit 1 if anything is off [CHECK=1]"
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"Port of the host's loopback  [default: {_PORT}, or a free one]",
)
@click.option(
    "--offline", is_flag=True, envvar="OFFLINE", help="Use the pool only; refuse to fetch [OFFLINE=1]"
)
def demo(check: bool, port: int | None, offline: bool) -> None:
    """Run a real small LLM and the gateway in a sealed network, and send two prompts through `model: auto`.

    Stays up for curl or a browser until Ctrl-C. Needs root or unprivileged user namespaces; where neither is to be
    had it says so, and runs with the gateway's own checks only.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell that starts it in the background has it ignore Ctrl-C, and it would never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    say = _Story()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routeiq-demo-")))
        say("fetching what the pool lacks; signing the models with the development key")
        prepared = prepare(Workspace.find(os.environ), BarProgress(), offline=offline)
        network = _seal(stack, scratch, say)
        running = _start(stack, prepared, network, scratch, port, say)
        answers = []
        for prompt in PROMPTS:
            answers.append(ask(running.endpoint, prompt))
            say(f"a prompt was answered in {answers[-1].seconds:.1f} s")
        _show(answers)
        faults = faults_of_answers(answers) + _egress(running)
        for fault in faults:
            click.secho(f"FAULT: {fault}", err=True, fg="red")
        if check:
            if faults:
                raise ProcessError(f"demo: {len(faults)} of its checks failed")
            say("all checks passed")
        else:
            _stay(running, say)


class _Story:
    """One line per step on stderr, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, what: str) -> None:
        click.echo(f"[{time.monotonic() - self._started:6.1f} s] {what}", err=True)


@dataclass(frozen=True)
class _Running:
    """What runs. `watch` is the sensor and its reading when the gateway was ready; None without a namespace."""

    endpoint: Endpoint
    services: tuple[Service, ...]
    watch: tuple[Sensor, Reading] | None

    def refused(self) -> int:
        """Return how many dials the gateway refused to make: destinations that nobody configured."""
        return int(self.endpoint.get("/health/readiness")["egress"]["refused"])


def _seal(stack: ExitStack, scratch: Path, say: _Story) -> SealedNetwork | None:
    try:
        install_packages(missing_tools(), "tools of the sealed network", say=say)
        network = stack.enter_context(open_sealed(scratch))
    except SealError as error:
        say(f"NO SEALED NETWORK on this host: {error}" + (f" ({error.hint})" if error.hint else ""))
        say(
            "going on with the gateway's own checks: it refuses to dial what nobody configured, and counts it"
        )
        say("its canaries are off: this host may have an internet that answers")
        return None
    say("sealed: a network namespace whose only wire ends in another, which forwards nothing")
    return network


def _start(
    stack: ExitStack,
    prepared: Prepared,
    network: SealedNetwork | None,
    scratch: Path,
    port: int | None,
    say: _Story,
) -> _Running:
    inside = network.sealed if network else None
    sensor = Sensor(network, canaries=CANARIES) if network else None
    llm_port = _INNER_LLM if inside else free_port()
    llm_key = secrets.token_hex(16)
    llm = stack.enter_context(
        run_llm(
            prepared.llm_python, prepared.gguf, inside=inside, port=llm_port, api_key=llm_key, scratch=scratch
        )
    )
    say(
        f"a real LLM is up: SmolLM2 135M, as {LLM_NAME}; both groups, {' and '.join(MODEL_MAP)}, are answered by it"
    )
    reached_at = _host_port(port)
    if inside:
        log = scratch / "forwarder.log"
        stack.enter_context(forward_inwards(inside, port=reached_at, inner_port=_PORT, log=log))
    started = time.monotonic()
    gateway, admin = stack.enter_context(
        run_gateway(
            prepared,
            gateway_config(f"http://127.0.0.1:{llm_port}", canaries=CANARIES if inside else ()),
            inside=inside,
            port=_PORT if inside else reached_at,
            reached_at=reached_at,
            llm_key=llm_key,
            scratch=scratch,
        )
    )
    ready = sensor.read() if sensor else None
    say(
        f"the gateway is ready after {time.monotonic() - started:.1f} s; its models' signatures were verified"
    )
    stands_for = ", ".join(f"{group} = {model}" for group, model in MODEL_MAP.items())
    say(f"until calibration, the configuration says which trained model a group stands for: {stands_for}")
    _, made = admin.post("/key/generate", {"key_alias": "demo", "duration": "1d"})
    watch = (sensor, ready) if sensor and ready else None
    return _Running(Endpoint(admin.url, made["key"]), (llm, gateway), watch)


def _host_port(wanted: int | None) -> int:
    """Return the port asked for, else the usual one, else a free one."""
    if wanted is not None:
        return wanted
    return _PORT if is_free(_PORT) else free_port()


def _show(answers: Sequence[Answer]) -> None:
    for answer in answers:
        click.echo(f"\nprompt     {answer.prompt.text}")
        for number, line in enumerate(answer.text.splitlines()):
            click.echo(f"{'' if number else 'answer':<11}{line}".rstrip())
        for name, value in answer.decision.items():
            click.echo(f"{'' if name != 'model' else 'decision':<11}x-routeiq-{name}: {value}")
    click.echo()


def _egress(running: _Running) -> list[str]:
    """Print and judge the counters; then dial out on purpose, to see that they count."""
    refused = running.refused()
    if running.watch is None:
        click.echo(f"egress     not sealed, so no packet count; dials that the gateway refused: {refused}\n")
        return [f"the gateway refused {refused} dials of its own"] if refused else []
    sensor, ready = running.watch
    end = sensor.read()
    click.echo(f"egress     {end.left} packets left the sealed network, counted at both ends of its wire")
    click.echo(
        f"           {end.canaries} packets to the canaries, which the gateway tries once, at its start"
    )
    faults = faults_of_egress(ready, end, refused)
    click.echo(
        f"           {sensor.control()} packets when something inside dialled out on purpose: the sensor works\n"
    )
    return faults


def _stay(running: _Running, say: _Story) -> None:
    endpoint = running.endpoint
    body = '{"model": "auto", "messages": [{"role": "user", "content": "Where do penguins live?"}]}'
    command = [
        "curl", "-i", f"{endpoint.url}/v1/chat/completions",
        "-H", f"Authorization: Bearer {endpoint.key}", "-H", "Content-Type: application/json", "-d", body,
    ]  # fmt: skip
    click.echo(f"url        {endpoint.url}/v1\nkey        {endpoint.key}")
    click.echo(f"browser    {endpoint.url}/ui/ (any user name, the key as password; then the key again)")
    click.echo(f"\n{shlex.join(command)}\n")
    before = running.watch[0].read() if running.watch else None
    say("up until Ctrl-C")
    try:
        while True:
            time.sleep(0.5)
            for service in running.services:
                service.require_running()
    except KeyboardInterrupt:
        click.echo(err=True)
    if running.watch and before:
        left = running.watch[0].read().left - before.left
        click.echo(f"egress     {left} packets left the sealed network since")
    say("stopping")
