"""The commands of `spm`."""

import inspect
import socket
import sys
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

from ..client import SalesPipelineClient
from ..errors import APIError, AuthenticationError, NotAnsweredError, SalesPipelineError
from ..models import ImportProgress
from ..version import __version__
from . import settings, show
from .connection import connected, given
from .forecast import forecast
from .options import (
    Format,
    Json,
    Kind,
    Least,
    Mode,
    Month,
    Most,
    Owner,
    Pipeline,
    Quarter,
    Report,
    Search,
    Stages,
    Statuses,
    Team,
    Url,
    Year,
)

app = typer.Typer(
    name="spm",
    help="The sales pipeline on the command line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def login(
    username: Annotated[str, typer.Option(prompt="E-mail address", envvar="SPM_USERNAME")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="SPM_PASSWORD")],
    base_url: Url = None,
    days: Annotated[int, typer.Option(min=1, help="How long the key is good.")] = 90,
    read_only: Annotated[bool, typer.Option(help="A key that changes nothing.")] = False,
) -> None:
    """Sign in: makes an API key and keeps it in a file that only you may read. The password is not kept."""
    url = settings.load(base_url).base_url
    with SalesPipelineClient(url, username=username, password=password) as client:
        key = client.api_keys.create(
            name=f"spm on {socket.gethostname()}"[:255],
            scopes=["read"] if read_only else ["read", "write"],
            expires_at=datetime.now(timezone.utc) + timedelta(days=days),
        )
        file = settings.save(settings.Settings(url, key.key, key.id))
        who = client.users.me()
        client.sign_out()
    show.note(f"Logged in as {who.username} at {url}; the key is in {file}.")


@app.command()
def logout() -> None:
    """Forget the key. An API key cannot end keys: to end it for good, sign in elsewhere."""
    found = settings.load()
    settings.forget()
    if found.api_key_id is not None:
        text = f"The key is forgotten here, and ends by itself: its id is {found.api_key_id}."
        show.note(text)


@app.command()
def overview(
    owner: Owner = None,
    team: Team = None,
    pipeline: Pipeline = None,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """The funnel as it stands."""
    with connected(base_url) as client:
        found = client.pipeline.get_overview(
            **given(owner_id=owner, team_id=team, pipeline_id=pipeline)
        )
    if json:
        return show.as_json(found)
    columns = ["name", "count", "total_value", "weighted_value", "conversion_rate"]
    show.table(found.stages, columns)
    open_ones = f"{found.open_opportunities:,} open of {found.total_opportunities:,}"
    values = f"{found.total_pipeline_value:,f}, weighted {found.weighted_pipeline_value:,f}"
    show.line(f"{open_ones}, worth {values}")
    return None


@app.command("list")
def list_opportunities(
    stage: Stages = None,
    status: Statuses = None,
    owner: Owner = None,
    team: Team = None,
    pipeline: Pipeline = None,
    q: Search = None,
    min_amount: Least = None,
    max_amount: Most = None,
    stale: Annotated[Optional[bool], typer.Option("--stale/--fresh")] = None,
    sort_by: Annotated[Optional[str], typer.Option(help="Such as amount.")] = None,
    order: Annotated[Optional[str], typer.Option(help="asc or desc.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many at most; 0 for all.")] = 50,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """Opportunities, the latest first."""
    filters = _filters(stage, status, owner, team, pipeline, q, min_amount, max_amount)
    filters.update(given(stale=stale, sort_by=sort_by, order=order))
    with connected(base_url) as client:
        page_size = min(limit or 200, 200)
        found = list(islice(client.opportunities.list(limit=page_size, **filters), limit or None))
    if json:
        return show.as_json(found)
    show.table(found, show.LIST)
    return None


@app.command("show")
def show_opportunity(opportunity_id: int, json: Json = False, base_url: Url = None) -> None:
    """One opportunity, with its history and activities."""
    with connected(base_url) as client:
        found = client.opportunities.get(opportunity_id)
        history = client.opportunities.history(opportunity_id).all()
        activities = client.activities.list_for(opportunity_id).all()
    if json:
        return show.as_json({**found.model_dump(), "history": history, "activities": activities})
    show.facts(found, leave_out=["version", "next_activity"])
    columns = ["changed_at", "from_stage", "to_stage", "probability", "changed_by_name", "notes"]
    show.table(history, columns, "history")
    if activities:
        columns = ["id", "activity_type", "subject", "scheduled_at", "completed_at", "owner_name"]
        show.table(activities, columns, "activities")
    return None


@app.command()
def move(
    opportunity_id: int,
    stage: Annotated[str, typer.Argument(help="Name or key of the stage.")],
    probability: Annotated[Optional[int], typer.Option(min=0, max=100)] = None,
    notes: Annotated[Optional[str], typer.Option(help="For the history.")] = None,
    lost_reason: Annotated[Optional[str], typer.Option(help="One of the list of reasons.")] = None,
    closed_on: Annotated[Optional[str], typer.Option(help="The day, YYYY-MM-DD.")] = None,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """Move an opportunity to a stage."""
    details = given(
        probability=probability, notes=notes, lost_reason=lost_reason, actual_close_date=closed_on
    )
    with connected(base_url) as client:
        # On what it is now: tried again without doing it twice, and not over somebody else's change.
        found = client.opportunities.get(opportunity_id)
        moved = client.opportunities.update_stage(opportunity_id, stage, if_match=found, **details)
    if json:
        return show.as_json(moved)
    text = f"{moved.opportunity_name}: {found.stage} → {moved.stage} ({moved.probability} %)"
    show.line(text)
    return None


app.command()(forecast)


@app.command()
def report(
    name: Report,
    period: Annotated[Optional[str], typer.Option(help="Such as monthly, or quarter.")] = None,
    year: Year = None,
    quarter: Quarter = None,
    month: Month = None,
    start: Annotated[Optional[str], typer.Option(help="First day, YYYY-MM-DD.")] = None,
    end: Annotated[Optional[str], typer.Option(help="Last day, YYYY-MM-DD.")] = None,
    owner: Owner = None,
    team: Team = None,
    pipeline: Pipeline = None,
    csv: Annotated[Optional[Path], typer.Option(help="Write it into this file.")] = None,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """A report, as a table, as JSON or into a CSV file."""
    is_changes = name is Report.pipeline_changes
    days = given(from_=start, to=end) if is_changes else given(start_date=start, end_date=end)
    of = {**days, **given(period=period, year=year, quarter=quarter, month=month)}
    of.update(given(owner_id=owner, team_id=team, pipeline_id=pipeline))
    with connected(base_url) as client:
        ask = getattr(client.reports, name.value.replace("-", "_"))
        unknown = of.keys() - inspect.signature(ask).parameters.keys()
        if unknown:
            raise typer.BadParameter(f"{name.value} is not asked by {', '.join(sorted(unknown))}")
        if csv:
            client.reports.download(name.value, csv, **of)
            return None
        found: Any = ask(**of)
    if json:
        return show.as_json(found)
    if hasattr(found, "items"):
        leave_out = {"version", "by_stage", "owner_id", "team_id", "pipeline_id"}
        fields = type(found.items[0]).model_fields if found.items else {}
        show.table(found.items, [it for it in fields if it not in leave_out])
    else:
        show.facts(found)
    return None


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    mapping: Annotated[
        Optional[list[str]], typer.Option("--map", help="COLUMN=FIELD; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Say what would happen, and write nothing.")
    ] = False,
    mode: Mode = Mode.each_row,
    kind: Annotated[
        Kind, typer.Option(help="history: deals with their past, by administrators.")
    ] = Kind.sales,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """Bring opportunities in from a CSV file or an Excel workbook."""
    columns = {}
    for pair in mapping or []:
        column, is_pair, field = pair.rpartition("=")
        if not is_pair:
            raise typer.BadParameter(f"{pair!r} is not COLUMN=FIELD")
        columns[column] = field
    options = given(mapping=columns or None)
    with connected(base_url) as client:
        with _progress(MofNCompleteColumn()) as bar:
            task = bar.add_task("rows", total=None)

            def told(state: ImportProgress) -> None:
                done = state.created + state.updated + state.skipped + state.failed
                bar.update(task, completed=done, total=state.total_rows or None)

            found = client.imports.run(
                file,
                progress=told,
                dry_run=dry_run,
                mode=mode.value,
                kind=kind.value,
                **options,
            )
        failed = list(client.imports.rows(found.id, row_status="failed")) if found.failed else []
    if json:
        show.as_json({**found.model_dump(exclude={"rows", "next_cursor"}), "failed_rows": failed})
    else:
        would = "would be " if found.dry_run else ""
        show.line(
            f"import {found.id} {found.status}: {found.created:,} {would}created, {found.updated:,}"
            f" {would}updated, {found.skipped:,} skipped, {found.failed:,} failed"
        )
        for row in failed:
            for fault in row.errors:
                text = f"  row {row.row}: {fault.field}: {fault.message}"
                show.line(text)
    if found.failed or found.status != "done":
        raise typer.Exit(1)


@app.command()
def export(
    file: Path,
    format: Annotated[Optional[Format], typer.Option(help="By the file's name if absent.")] = None,
    stage: Stages = None,
    status: Statuses = None,
    owner: Owner = None,
    team: Team = None,
    pipeline: Pipeline = None,
    q: Search = None,
    min_amount: Least = None,
    max_amount: Most = None,
    json: Json = False,
    base_url: Url = None,
) -> None:
    """Write opportunities into a CSV, XLSX or JSONL file."""
    suffix = file.suffix.lstrip(".").lower()
    kind: Any = format.value if format else suffix if suffix in {"xlsx", "jsonl"} else "csv"
    filters = _filters(stage, status, owner, team, pipeline, q, min_amount, max_amount)
    with connected(base_url) as client, _progress(DownloadColumn()) as bar:
        task = bar.add_task(file.name, total=None)
        written = client.opportunities.export(
            file,
            format=kind,
            progress=lambda now, all_of_it: bar.update(task, completed=now, total=all_of_it),
            **filters,
        )
    if json:
        return show.as_json({"path": str(file), "bytes_written": written.bytes_written})
    show.line(f"{file}: {written.bytes_written:,} bytes")
    return None


def run() -> None:
    """Runs it; what goes wrong is one line on standard error."""
    try:
        app()
    except (SalesPipelineError, settings.SettingsError, ValueError, OSError) as error:
        hint = ""
        if isinstance(error, AuthenticationError):
            hint = "; spm login makes a new key"
        elif isinstance(error, APIError) and error.retry_after:
            hint = f"; try again in {error.retry_after:.0f} s"
        elif isinstance(error, NotAnsweredError):
            hint = " (another address: SPM_BASE_URL, --base-url)"
        show.note(f"spm: {error}{hint}")
        sys.exit(1)


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """The sales pipeline on the command line."""
    if version:
        show.line(__version__)
        raise typer.Exit


def _progress(column: Any) -> Progress:
    """A bar for people who watch; on standard error, so that it is never in a file."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        column,
        console=show.err,
        transient=True,
        disable=not show.err.is_terminal,
    )


def _filters(
    stage: Optional[list[str]],
    status: Optional[list[str]],
    owner: Optional[int],
    team: Optional[int],
    pipeline: Optional[int],
    q: Optional[str],
    min_amount: Optional[str],
    max_amount: Optional[str],
) -> dict[str, Any]:
    return given(
        stage=stage or None,
        status=status or None,
        owner_id=owner,
        team_id=team,
        pipeline_id=pipeline,
        q=q,
        min_amount=min_amount,
        max_amount=max_amount,
    )
