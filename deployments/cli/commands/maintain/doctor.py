"""``lavad doctor``: would the configured run work here?"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from lavad.deployments.cli.checks import Check, Verdict, alike_check, served_checks, tokenizer_check
from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import say, show_table, size
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig

IMPORT_TIMEOUT_S = 120.0
"""Importing PyAV takes half a second; on a cold network disk much longer."""

MIN_FREE_BYTES = 2**30
"""Less free space in the store's file system than this is worth a warning: vectors take 64 kB a minute of video."""


@guarded
@grouped
def doctor(given: options.ConfigurationGroup, json_: options.AsJson = False) -> None:
    """Check versions, devices, models with their licences, servers and the store. Exit code 1 if the run would not work."""
    from lavad_core.masking import masked_text

    loaded = given.load().config
    checks = [*_versions(), *_devices(), *_models(loaded), *_prompts(loaded), _prefect(), *_store(loaded)]
    rows = [(check.what, check.verdict, masked_text(check.found)) for check in checks]
    if json_:
        headers = ("check", "verdict", "found")
        show_document("doctor", {"checks": [dict(zip(headers, row, strict=True)) for row in rows]})
    else:
        show_table(("check", "verdict", "found"), rows)
    faults = sum(check.verdict == "fault" for check in checks)
    if faults:
        say(f"lavad: {faults} of {len(checks)} checks failed: a run with this configuration would not work")
        raise typer.Exit(Exit.SOME_FAILED)
    say("a run with this configuration can start")


def _versions() -> Iterator[Check]:
    from lavad_core.runs.environment import versions

    found = versions()
    yield Check("lavad", "ok", f"{found.pop('lavad')}, Python {found.pop('python')}, {platform.platform()}")
    yield Check("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))
    yield _ffmpeg()


def _ffmpeg() -> Check:
    """In a process of its own, as decoding is: PyAV is never loaded into this one."""
    script = "import json; from lavad_core.video import container; print(json.dumps(container.library_versions()))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=True
        )
        found = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        return Check("video", "fault", f"PyAV cannot be used: {last}")
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return Check("video", "fault", f"PyAV cannot be used: {error}")
    return Check("video", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))


def _devices() -> Iterator[Check]:
    from lavad_core.runs.environment import host

    machine = host()
    yield Check("machine", "ok", f"{machine['cpus']} CPU cores, {size(float(machine['memory_bytes']))} memory")
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("torch", "fault", f"cannot be imported: {error}")
        return
    if not torch.cuda.is_available():
        yield Check("GPU", "note", f"torch {torch.__version__} sees none: models in this process run on the CPU")
        return
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        yield Check(f"cuda:{number}", "ok", f"{properties.name}, {size(properties.total_memory)}")


def _models(config: LavadConfig) -> Iterator[Check]:
    from lavad_core.errors import ModelError
    from lavad_core.models.devices import resolve_device
    from lavad_core.models.kinds import find_model
    from lavad_core.pipeline.graph import needed_roles

    for role in needed_roles(config):
        section = config.models[role]
        finding = find_model(section)
        if section.served is not None:
            yield from served_checks(role, section.served)
            if check := alike_check(role, section.served):
                yield check
            if (
                not section.served.managed
                and getattr(section, "tokenizer", None)
                and (check := tokenizer_check(role, section))
            ):
                yield check
        else:
            verdict: Verdict = "ok" if finding.found else "note" if finding.downloadable else "fault"
            later = "; otherwise the run downloads it, if it reaches the hub" if finding.downloadable else ""
            yield Check(role, verdict, f"{section.model}: {finding.where}{later}")
        yield Check(f"{role} licence", "note", finding.licence)
        if (device := getattr(section, "device", None)) is not None:
            try:
                resolve_device(device)
            except ModelError as error:
                yield Check(f"{role} device", "fault", str(error))


def _prompts(config: LavadConfig) -> Iterator[Check]:
    """Whether the chat model takes the prompts, and whether they fit."""
    from lavad_core.errors import LavadError, ServiceError
    from lavad_core.planning.prompt_check import prompts_of

    try:
        prompts = prompts_of(config)
    except ServiceError:
        return  # its own check says so
    except LavadError as error:
        yield Check("prompts", "fault", str(error))
        return
    for prompt in prompts:
        how = "; system messages are folded into the user's turn" if prompt.folds else ""
        verdict: Verdict = "ok" if prompt.fits else "fault" if prompt.counted else "note"
        way_out = "" if prompt.fits else f"; allow more ({prompt.setting}), or shorten the prompt"
        yield Check(f"prompt {prompt.stage}", verdict, f"{prompt.in_words}{how}{way_out}")


def _prefect() -> Check:
    from lavad.deployments.prefect_settings import import_prefect
    from lavad_core.errors import ConfigError, ServiceError

    try:
        import_prefect()
        from prefect.settings import PREFECT_API_URL

        from lavad.deployments.prefect_advice import server_advice_of
        from lavad.deployments.prefect_check import checked_api, shown

        url = PREFECT_API_URL.value()
        if not url:
            return Check("Prefect", "ok", "no server configured: `lavad run` starts a private one")
        found = checked_api(url)
    except (ConfigError, ServiceError) as error:
        return Check("Prefect", "fault", str(error))
    if advice := server_advice_of(found):
        return Check("Prefect", "note", f"server at {shown(found)}; {'; '.join(advice)}")
    if found != url:
        return Check("Prefect", "note", f"server at {shown(found)}, which PREFECT_API_URL = {shown(url)} only leads to")
    return Check("Prefect", "ok", f"server at {shown(found)}")


def _store(config: LavadConfig) -> Iterator[Check]:
    from lavad_core.datasets.configured import configured
    from lavad_core.errors import InputError, StoreUnavailable
    from lavad_core.location import s3_address
    from lavad_core.store.presence import store_exists

    root = config.store
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Check("store", "fault", f"{str(root)!r}: {str(place)!r} cannot be written")
        return
    free = shutil.disk_usage(place).free
    verdict: Verdict = "ok" if free >= MIN_FREE_BYTES else "note"
    address = s3_address(root)
    try:
        state = "there" if store_exists(root) else "made by the first run"
    except (InputError, StoreUnavailable) as error:
        yield Check("store", "fault", str(error))
    else:
        where = str(root.absolute()) if address is None else address
        copies = f" in {str(root)!r}, for copies of its files" if address is not None else ""
        yield Check("store", verdict, f"{where}: {state}, {size(free)} free{copies}")
    try:
        dataset = configured(config.evaluate)
    except InputError as error:
        yield Check("labels", "fault", str(error))
        return
    if dataset is not None:
        yield Check("labels", "ok", f"{config.evaluate.labels}: {number_of(len(dataset.videos), 'video')}")
