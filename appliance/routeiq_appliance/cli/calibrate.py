"""`routeiq router calibrate`: fits an artifact to the site's own deployments, by their answers to checkable prompts."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_appliance.cli.router_support import (
    PATH,
    artifact_option,
    cache_option,
    costs_option,
    default_cache,
    embedder_folder,
    embedder_option,
    verified_or_unsigned,
    warn,
)
from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.errors import RouteIQError
from routeiq_signing.model_files import SIGNATURE_NAME

if TYPE_CHECKING:
    from routeiq_appliance.cli.calibrate_run import Failed
    from routeiq_router.calibration.calibrate import Calibration
    from routeiq_router.calibration.item import Item
    from routeiq_router.calibration.journal import Run
    from routeiq_signing.keyring.signer import Signer

__all__ = ["calibrate"]

_KEY_VARIABLE = "ROUTEIQ_API_KEY"


@click.command()
@artifact_option
@click.option(
    "--out", required=True, type=PATH, help="Folder for the new artifact; answers are kept beside it"
)
@click.option("--url", required=True, help="Gateway, or a deployment's own address, with or without /v1")
@click.option(
    "--api-key-file",
    type=PATH,
    help=f"File with the key that asks  [default: {_KEY_VARIABLE}, {_KEY_VARIABLE}_FILE]",
)
@click.option(
    "--models",
    "named",
    multiple=True,
    metavar="GROUP[=NAME],…",
    help="Groups, and the names they are asked by; repeatable",
)
@click.option(
    "--config", type=PATH, help="config.yaml whose `auto` candidates are calibrated, instead of --models"
)
@click.option(
    "--suite", "suites", multiple=True, type=PATH, help="Prompts of your own, JSON Lines; repeatable"
)
@click.option(
    "--shipped/--no-shipped", default=True, show_default=True, help="Ask the shipped suite (as well)"
)
@click.option(
    "--prompts", type=click.IntRange(min=1), help="Ask so many prompts of the shipped suite  [default: all]"
)
@click.option(
    "--max-tokens", default=512, show_default=True, type=click.IntRange(1, 65536), help="Of each answer"
)
@click.option("--concurrency", default=4, show_default=True, type=click.IntRange(1, 64), help="Calls at once")
@click.option(
    "--timeout", default=120.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Seconds of a call"
)
@click.option("--resume", is_flag=True, help="Continue an earlier run: ask only what is missing")
@click.option(
    "--trust-key", type=PATH, help="Public key (PEM) that must have signed the artifact and the embedder"
)
@signing_key_options(
    required=False, text="Private key that signs the new artifact: file, or `pkcs11:token=…;object=…`"
)
@costs_option
@embedder_option
@cache_option
@json_option
def calibrate(
    artifact: Path,
    out: Path,
    url: str,
    api_key_file: Path | None,
    named: tuple[str, ...],
    config: Path | None,
    suites: tuple[Path, ...],
    shipped: bool,
    prompts: int | None,
    max_tokens: int,
    concurrency: int,
    timeout: float,
    resume: bool,
    trust_key: Path | None,
    signing_key: SigningKey,
    costs: Path | None,
    embedder: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Ask the site's deployments prompts with checkable answers, and fit the artifact to them.

    Answers are kept in OUT.answers.jsonl as they come, so a run that was interrupted goes on with --resume. Failed
    calls are missing, not wrong; run again with --resume to ask them once more.
    """
    from routeiq_router.artifact import parse_artifact
    from routeiq_router.calibration.calibrate import calibrate as fit
    from routeiq_router.calibration.calibrate import check_base, check_count
    from routeiq_router.calibration.item import suite_digest
    from routeiq_router.calibration.journal import Run
    from routeiq_router.data.costs import model_costs, read_costs
    from routeiq_router.data.embedding import embed_prompts
    from routeiq_router.embedder import Embedder
    from routeiq_router.router import Router

    # Whatever can be wrong is found before the first call: calls cost money and hours.
    kept = out.with_name(f"{out.name}.answers.jsonl")
    _check_target(out, kept, resume=resume)
    asked = _groups(named, config)
    items = _suite(suites, shipped=shipped, prompts=prompts)
    check_count(items)
    base = parse_artifact(verified_or_unsigned(artifact, trust_key))
    check_base(base)
    encoder = Embedder.load(verified_or_unsigned(embedder_folder(embedder), trust_key), cache_size=0)
    Router(base, encoder)
    unit, guessed = model_costs(tuple(asked), read_costs(costs))
    if guessed:
        warn(
            f"costs are guessed for {', '.join(guessed)}: give --costs, or prices in config.yaml, which go first"
        )
    signer = None if signing_key.given is None else signing_key.open()
    address = url.rstrip("/")
    about = Run(
        suite_digest(items), max_tokens, address if address.endswith("/v1") else f"{address}/v1", asked
    )
    progress = BarProgress()
    texts = [item.prompt for item in items]
    inputs = embed_prompts(encoder, texts, cache=cache or default_cache(), progress=progress)
    calls = _Calls(_key(api_key_file), timeout, concurrency, resume, kept)
    answers, failed = _ask_all(calls, about, items, progress)
    made = fit(base, items, inputs, answers, unit, name=out.resolve().name)
    failures = {group: dict(sorted(one.reasons.items())) for group, one in failed.items() if one.count}
    _write(made, out, signer, failures, as_json=as_json)


@dataclass(frozen=True)
class _Calls:
    """How the prompts are asked."""

    key: str | None
    seconds: float
    concurrency: int
    resume: bool
    kept: Path


def _ask_all(
    calls: _Calls, about: "Run", items: "Sequence[Item]", progress: BarProgress
) -> "tuple[dict[str, dict[str, bool]], dict[str, Failed]]":
    """Return each group's answers by prompt id, earlier ones included, and what failed."""
    from routeiq_appliance.cli.calibrate_ask import Asker
    from routeiq_appliance.cli.calibrate_run import run
    from routeiq_router.calibration.journal import Journal

    asker = Asker(about.url, calls.key, about.max_tokens, calls.seconds)
    try:
        journal = Journal(calls.kept, about, resume=calls.resume)
        try:
            failed = run(asker, journal, items, about.asked, concurrency=calls.concurrency, progress=progress)
        finally:
            journal.close()
    finally:
        asker.close()
    for group, one in failed.items():
        if one.count:
            most = max(one.reasons, key=lambda reason: one.reasons[reason])
            stopped = "; it was asked no more" if one.given_up else ""
            warn(f"{group}: {one.count} answers are missing, mostly: {most}{stopped}")
    known = journal.answers
    found = {
        group: {item.id: known[group, item.id] for item in items if (group, item.id) in known}
        for group in about.asked
    }
    return found, failed


def _write(
    made: "Calibration", out: Path, signer: "Signer | None", failures: Mapping[str, Any], *, as_json: bool
) -> None:
    from routeiq_router.artifact import dump_artifact, parse_artifact
    from routeiq_router.calibration.card import write_card
    from routeiq_router.calibration.text import report_text
    from routeiq_router.folder import write_artifact
    from routeiq_signing.model_trust import sign_model_folder

    files = dump_artifact(made.artifact)
    digest = parse_artifact(files).digest
    # A signature of what was here before must not stand beside what comes.
    (out / SIGNATURE_NAME).unlink(missing_ok=True)
    write_artifact(out, {**files, "README.md": write_card(made.artifact, made.report).encode()})
    signature = None if signer is None else str(sign_model_folder(out, signer))
    if signature is None:
        warn(f"{out}: not signed, so no gateway loads it; sign it with `routeiq model sign {out} --key KEY`")
    folder = {"folder": str(out), "digest": digest, "signature": signature}
    result = {**made.report, "artifact": folder, "failures": failures}
    emit(result, as_json=as_json, text=f"{report_text(made.report)}\n\n{out}  {digest}")


def _check_target(out: Path, kept: Path, *, resume: bool) -> None:
    from routeiq_router.folder import check_target

    # Only what an earlier run made is replaced: that one's answers are beside it.
    if resume and kept.exists():
        check_target(out)
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RouteIQError(f"{out}: exists already", subject=str(out), hint="name a new folder with --out")
    if not out.parent.is_dir():
        raise RouteIQError(f"{out.parent}: no such folder", subject=str(out.parent))


def _groups(named: Sequence[str], config: Path | None) -> dict[str, str]:
    """Return the groups and the names that they are asked by."""
    if bool(named) == (config is not None):
        raise click.UsageError("give either --models GROUP or --config FILE")
    if config is not None:
        return _configured(config)
    asked: dict[str, str] = {}
    for text in (part.strip() for entry in named for part in entry.split(",")):
        group, separator, name = text.partition("=")
        if not group or (separator and not name):
            raise click.BadParameter(f"{text[:64]!r} is not GROUP or GROUP=NAME", param_hint="--models")
        if group in asked:
            raise click.BadParameter(f"{group[:64]!r} is given twice", param_hint="--models")
        asked[group] = name or group
    return asked


def _configured(config: Path) -> dict[str, str]:
    from routeiq_appliance.config.load import read_config, read_text

    found = read_config(read_text(config), os.environ, name=str(config), unset_is_a_mistake=False).config
    groups = [entry.model_name for entry in found.model_list if entry.model_info.mode in {None, "chat"}]
    return {group: group for group in found.routeiq.auto.candidates or groups}


def _suite(suites: Sequence[Path], *, shipped: bool, prompts: int | None) -> "tuple[Item, ...]":
    from routeiq_router.calibration.suite.shipped import shipped_suite
    from routeiq_router.calibration.suite_file import read_suites

    if not shipped and not suites:
        raise click.UsageError("--no-shipped asks nothing: give --suite FILE")
    return read_suites(suites, shipped_suite()[:prompts] if shipped else ())


def _key(file: Path | None) -> str | None:
    from routeiq_appliance.config.variables import read_variable

    environ: Mapping[str, str] = os.environ if file is None else {f"{_KEY_VARIABLE}_FILE": str(file)}
    key = read_variable(_KEY_VARIABLE, environ)
    if key is not None and not (key.isascii() and key.isprintable()):
        raise RouteIQError(f"{file or _KEY_VARIABLE}: is no key: it has letters that no header may have")
    return key
