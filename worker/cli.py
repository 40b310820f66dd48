"""The `kommunpost` command. Each subcommand reads its arguments and calls one function elsewhere.

Exit codes: 0 done, 1 the work failed or a check found faults, 2 wrong usage or configuration. No traceback reaches the
user: one line says what is wrong and what to do.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import click

from worker.command import (
    FAILED,
    FILE,
    FOLDER,
    Wrong,
    authserv_ids,
    database,
    migrated,
    municipality_file,
    plainly,
    refusals,
    say,
    with_database,
)
from worker.model_commands import models, train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="kommunpost", prog_name="kommunpost")
def main() -> None:
    """Kommunpost: drafts sourced replies to a municipality's mail and puts them before a person."""


main.add_command(models)
main.add_command(train)


@main.command(short_help="Try everything on a sample municipality.")
@click.option("--once", is_flag=True, help="Process every sample mail, print the summary, stop everything, exit.")
@click.option("--json", "as_json", is_flag=True, help="With --once: the summary as one JSON object.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Of the screen, on loopback."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where the database keeps its files.")
def demo(once: bool, as_json: bool, port: int, data: Path | None) -> None:
    """Start database, broker, workers and screen with a sample municipality; stop with Ctrl-C.

    Example: kommunpost demo --once --json
    """
    from worker import demo as sample
    from worker.embedded import EmbeddedError

    with plainly(), refusals():
        try:
            sample.run(once=once, as_json=as_json, port=port, data=data)
        except (EmbeddedError, sample.DemoError) as error:
            raise Wrong(str(error), FAILED) from None


@main.command(short_help="Show what is read from mail files.")
@click.option("--authserv-id", "ids", multiple=True, help="Mail server whose Authentication-Results count.")
@click.argument("files", nargs=-1, required=True, type=FILE)
def parse(ids: tuple[str, ...], files: tuple[Path, ...]) -> None:
    """One JSON object a file, one a line. Needs no database.

    Example: kommunpost parse --authserv-id mx.norrvik.example mail.eml
    """
    from worker import offline

    with plainly():
        for parsed in offline.parse(files, authserv_ids(ids)):
            say(parsed)


@main.command(short_help="Say what mails are about.")
@click.option(
    "--input", "source", type=click.File("r", encoding="utf-8"), default="-", help="JSON Lines; standard input."
)
@click.option("--output", "target", type=click.File("w", encoding="utf-8"), default="-", help="Standard output.")
def triage(source: IO[str], target: IO[str]) -> None:
    """JSON Lines in (id, from, subject, body), JSON Lines out in the same order. Needs no database.

    Example: kommunpost triage --input mails.jsonl --output answers.jsonl
    """
    from worker import municipality, offline

    with plainly():
        pack = municipality.read(municipality_file()).rule_pack()
        for answer in offline.triage(source, pack):
            target.write(json.dumps(answer, ensure_ascii=False) + "\n")


@main.command(short_help="Take mail in now.")
@click.argument("sources", nargs=-1, required=True, metavar="MAILBOX_OR_PATH…")
def ingest(sources: tuple[str, ...]) -> None:
    """From a configured mailbox, a folder of .eml, an mbox or a single file. What is here already is not taken twice.

    Example: kommunpost ingest kundcenter ./letters.mbox
    """
    with database():
        from worker import ingesting

        for line in ingesting.ingest(sources):
            click.echo(line)


@main.command(short_help="Show what would be answered, and why.")
@click.option("--registers", type=FOLDER, help="A folder of CSV files, one a register, to try things on.")
@click.option("--authserv-id", "ids", multiple=True, help="Mail server whose Authentication-Results count.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
@click.argument("files", nargs=-1, required=True, type=FILE)
def draft(registers: Path | None, ids: tuple[str, ...], as_json: bool, files: tuple[Path, ...]) -> None:
    """The draft, its claims and sources, and the policy's verdict. Sends nothing, stores nothing, needs no database.

    Example: kommunpost draft --registers demo/registers mail.eml
    """
    from worker import municipality, offline, show

    with plainly():
        town = municipality.read(municipality_file())
        for path in files:
            answer = offline.draft(path, town, registers, authserv_ids(ids))
            click.echo(json.dumps(answer, ensure_ascii=False) if as_json else show.draft(answer))


@main.command(short_help="Check a text against facts.")
@click.option("--facts", required=True, type=FILE, help="Facts, passages and approved phrases as JSON.")
@click.argument("textfile", type=click.File("r", encoding="utf-8"), default="-")
def ground(facts: Path, textfile: IO[str]) -> None:
    """Every statement of a text with its verdict, as JSON. Needs no database.

    Example: kommunpost ground --facts facts.json reply.txt
    """
    from worker import offline

    with plainly():
        say(offline.ground(facts, textfile.read()))


@main.group(short_help="Validate and test a rule pack.")
def rules() -> None:
    """A rule pack says what is looked up, how replies are worded and who must approve."""


@rules.command("check")
@click.argument("pack", required=False)
def rules_check(pack: str | None) -> None:
    """Validate a pack: every name, slot and pattern.

    Example: kommunpost rules check ./our-pack
    """
    from worker import packwork

    with plainly():
        faults = packwork.faults(pack, municipality_file())
    for fault in faults:
        click.echo(fault)
    if faults:
        raise Wrong(f"{len(faults)} fault{'s' * (len(faults) > 1)} in the pack.", FAILED)
    click.echo("The pack is in order.")


@rules.command("test")
@click.argument("pack", required=False)
def rules_test(pack: str | None) -> None:
    """Run the pack's own examples.

    Example: kommunpost rules test
    """
    from worker import packwork

    with plainly():
        results = packwork.run_examples(pack, municipality_file())
    failed = [result for result in results if result.faults]
    for result in failed:
        click.echo(f"{result.name}: " + "; ".join(result.faults))
    click.echo(f"{len(results) - len(failed)} of {len(results)} examples came out as expected.")
    if failed:
        raise Wrong(f"{len(failed)} example{'s' * (len(failed) > 1)} came out otherwise.", FAILED)


@main.command(short_help="Measure the classifier on labelled mail.")
@click.option("--input", "source", required=True, type=FILE, help="Labelled mail as JSON Lines.")
@click.option("--model", "folder", type=FOLDER, help="Another version than the one in use.")
@click.option("--classifier", default="", help="linear, transformer, ensemble or cascade; else the configured one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def evaluate(source: Path, folder: Path | None, classifier: str, as_json: bool) -> None:
    """Accuracy, macro-F1, calibration, coverage at 95 % precision; per language and per intent.

    Example: kommunpost evaluate --input labelled.jsonl --json
    """
    from worker import municipality
    from worker.understanding import evaluation

    with plainly():
        pack = municipality.read(municipality_file()).rule_pack()
        report = evaluation.evaluate(source, pack, folder, classifier)
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else evaluation.as_text(report))


@main.group(short_help="Try mailboxes and registers.")
def connectors() -> None:
    """Mailboxes and registers as configured."""


@connectors.command("check")
@click.argument("name", required=False)
def connectors_check(name: str | None) -> None:
    """Sign in, list, read one; say what is missing.

    Example: kommunpost connectors check kundcenter
    """
    from worker import doctor, municipality

    with plainly():
        findings = list(doctor.connectors(municipality.read(municipality_file()), name))
    _report(findings)


@main.group(short_help="Verify the event log.")
def audit() -> None:
    """The append-only, hash-chained log of everything that happened."""


@audit.command("verify")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def audit_verify(as_json: bool) -> None:
    """Recompute the hash chain and compare it with the anchors. Exit 1 when a fault is found.

    Example: kommunpost audit verify
    """
    with database():
        from worker import events, show

        found = events.verify()
        click.echo(show.verification_json(found) if as_json else show.verification(found))
    if found.faults:
        raise Wrong("The event log was changed.", FAILED)


@main.command(short_help="Measure the whole way of a mail.")
@click.option("--mails", type=click.IntRange(1), default=500, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where the database keeps its files.")
def bench(mails: int, as_json: bool, data: Path | None) -> None:
    """Drive mails through the real broker, database and workers: mails/s, time to queued draft, memory.

    Example: kommunpost bench --mails 1000 --json
    """
    from worker import bench as benchmark
    from worker.embedded import EmbeddedError

    with plainly(), refusals():
        try:
            report = benchmark.run(mails, data)
        except EmbeddedError as error:
            raise Wrong(str(error), FAILED) from None
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else benchmark.as_text(report))


@main.command(short_help="Check the installation.")
@click.option("--new-key", is_flag=True, help="Print a new storage key and stop.")
@click.option(
    "--only", type=click.Choice(["worker", "beat", "listen"]), help="One part, for a container's health check."
)
def doctor(new_key: bool, only: str | None) -> None:
    """Configuration, database, broker, model, clock, disk and mailboxes: one line each, with the remedy.

    Example: kommunpost doctor
    """
    from worker import doctor as checks

    if new_key:
        from worker.vault import new_key as made

        click.echo(made())
        return
    _report(checks.only(only) if only else checks.examine())


def _report(findings: Iterable[Any]) -> None:
    findings = list(findings)
    for finding in findings:
        joint = " " if finding.what.endswith(".") else ": "
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}" + (finding.remedy and joint + finding.remedy))
    if not all(finding.ok for finding in findings):
        raise Wrong("Something needs attention, see above.", FAILED)


@main.command(short_help="Run a Celery worker.", context_settings={"ignore_unknown_options": True})
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def worker(concurrency: int) -> None:
    """Take tasks from the broker until stopped.

    Example: kommunpost worker --concurrency 4
    """
    migrated()
    from worker.celery import app

    app.worker_main(
        ["worker", "--concurrency", str(concurrency), "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    )


@main.command(short_help="Run the clock that starts periodic tasks.")
def beat() -> None:
    """Exactly one per installation.

    Example: kommunpost beat
    """
    with_database()
    from django.conf import settings

    from worker.celery import app

    Path(settings.DATA).mkdir(parents=True, exist_ok=True)
    schedule = Path(settings.DATA) / "beat-schedule"
    app.start(["beat", "--loglevel", "WARNING", "--schedule", str(schedule), "--pidfile", ""])


@main.command(short_help="Wait for new mail at the mailboxes.")
def listen() -> None:
    """Has a mailbox read as soon as its server says that mail has come (IMAP and Exchange). Optional: without it mail
    is found when the clock has the mailboxes read, a minute later at most. One per installation is enough.

    Example: kommunpost listen
    """
    migrated()
    from worker import listening

    listening.run()


@main.command(short_help="Serve the review screen.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
def web(host: str, port: int, workers: int) -> None:
    """Answers /healthz (alive) and /readyz (database, broker and model reachable).

    Example: kommunpost web --host 0.0.0.0 --port 8080
    """
    migrated()
    from worker.serving import serve

    serve(host, port, workers)


@main.command(short_help="Bring the database up to date.")
def migrate() -> None:
    """Create or change the tables, then take over mailboxes from the municipality file.

    Example: kommunpost migrate
    """
    with database():
        from worker import setting_up

        for line in setting_up.migrate():
            click.echo(line)


@main.command(short_help="Add a colleague.")
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, help="clerk, reviewer, senior, lead, registrar, auditor or admin."
)
@click.option("--mailbox", "mailboxes", multiple=True, help="A mailbox the colleague works with.")
@click.option("--full-name", default="", help="As shown on the screen and in the log.")
@click.password_option(envvar="KOMMUNPOST_NEW_PASSWORD", help="Asked for when not given.")
def createuser(name: str, roles: tuple[str, ...], mailboxes: tuple[str, ...], full_name: str, password: str) -> None:
    """Example: kommunpost createuser elin --role reviewer --mailbox kundcenter"""
    with database():
        from worker import setting_up

        try:
            setting_up.create_user(name, password, roles, mailboxes, full_name)
        except setting_up.SetUpError as error:
            raise Wrong(str(error)) from None
    click.echo(f"{name} can sign in now.")


def run() -> None:
    """The entry point. Whatever was not foreseen ends in one line too; the traceback is there for who asks for it."""
    try:
        main(prog_name="kommunpost")
    except BrokenPipeError:
        sys.stdout = None
        sys.exit(FAILED)
    except Exception as error:
        if os.environ.get("KOMMUNPOST_TRACEBACK") == "yes":
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        click.echo(
            f"kommunpost: stopped by {type(error).__name__} in {Path(where.filename).name} line {where.lineno}. "
            "Run `kommunpost doctor`, or again with KOMMUNPOST_TRACEBACK=yes for the whole story.",
            err=True,
        )
        sys.exit(FAILED)


if __name__ == "__main__":
    run()
