"""Executes steps: write aside, audit, publish; what stands already is cached.

One `Night` holds what the steps of a run share: the lake, the resources they are admitted by, the audit, who watches.
"""

import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from expectations.datasets import DATASETS
from expectations.errors import Failure
from expectations.files import write_json
from expectations.passwords import redacted
from expectations.progress import OnProgress
from expectations.verdict import Finding, Verdict
from tasks.engine import fault_points
from tasks.engine.admission import Machine
from tasks.engine.claims import Claim
from tasks.engine.code_digest import edited_since
from tasks.engine.content_digest import files_sha256, table_digest
from tasks.engine.groups import Input, each
from tasks.engine.lake import MANIFEST, RUN, Artifact, Lake, Ref, read_parts, sealed
from tasks.engine.outputs import Outputs, Part, plainly
from tasks.engine.quarantine import quarantine
from tasks.engine.stage import Cell, Stage, Step
from tasks.machine.config import ResourcesConfig
from tasks.machine.home import lake_of

State = Literal["cached", "ran"]

POOL_FROM_CELLS = 8
"""Fewer days than this are made faster in this process than in workers that first have to start."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        began: seconds from the start of the run until the step began to run.
        peak_bytes: most resident memory of the whole process tree meanwhile, other steps' included.
    """

    step: str
    state: State
    seconds: float
    rows: int
    cells: int
    ran: int
    began: float = 0.0
    peak_bytes: int = 0
    warnings: tuple[str, ...] = ()


class Watcher:
    """Told what happens; the base class does not listen. Called from several threads."""

    def started(self, step: Step, missing: int) -> None: ...

    def progressed(self, step: Step, done: int, total: int, what: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...

    def failed(self, step: Step, error: BaseException) -> None: ...

    def warned(self, sentence: str) -> None: ...

    def interrupted(self) -> None: ...


@dataclass
class Night:
    """What the steps of one run share.

    Attributes:
        force: stages whose artifacts are made anew, but for those published after `made_since`, seconds since 1970: by
            default the start of the run. A backfill gives its own start, so that a day of the log is made anew once.
        limited: what a step runs in, once it has got room, so that it does not take for ever.
        promotes: whether a release that passes its gates becomes the champion; a backfilled night's does not.
    """

    lake: Lake
    home: Path
    machine: Machine
    watcher: Watcher = field(default_factory=Watcher)
    force: frozenset[str] = frozenset()
    made_since: float = field(default_factory=time.time)
    docs: Path | None = None
    builds_docs: bool = True
    promotes: bool = True
    around: Part = plainly
    limited: Callable[[Step], AbstractContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        self._turn: AbstractContextManager[Any] = nullcontext()
        self.began = time.monotonic()

    @property
    def resources(self) -> ResourcesConfig:
        return self.machine.resources

    def one_at_a_time(self) -> None:
        """Let no two steps run side by side, so that seconds and memory of each are its own."""
        self._turn = threading.Lock()

    def misses(self, step: Step) -> bool:
        """A quick look whether a step has anything to do: manifests only, no hashes."""
        return step.name in self.force or not all(self.lake.stands(r) for c in step.cells for r in c.refs)

    def missing(self, step: Step) -> list[Cell]:
        """Cells of a step that do not stand whole; all that are not new when the stage is forced."""
        return [c for c in step.cells if self._must_run(step, c)]

    def _must_run(self, step: Step, cell: Cell) -> bool:
        if step.name in self.force and not all(self._is_new(ref) for ref in cell.refs):
            return True
        return not all(self._is_whole(ref) for ref in cell.refs)

    def _is_new(self, ref: Ref) -> bool:
        if ref in self.machine.made:
            return self.machine.made[ref] >= self.made_since and self.lake.stands(ref)
        published = self.lake.published(ref)
        if published is None:
            return False
        # Object stores count whole seconds.
        return published >= (int(self.made_since) if published.is_integer() else self.made_since)

    def _is_whole(self, ref: Ref) -> bool:
        if ref in self.machine.whole and self.lake.stands(ref):
            return True
        if self.lake.find(ref) is None:
            return False
        self.machine.whole.add(ref)
        return True

    def execute(self, step: Step) -> Outcome:
        """Bring a step's artifacts into the lake.

        Raises:
            Failure: an audit failed (the data is in quarantine) or the stage refused to publish.
        """
        began, mark = time.monotonic(), self.machine.meter.mark()
        missing = self.missing(step)
        if not missing:
            return self._conclude(step, "cached", began, mark)
        claimed = [r for c in missing for r in c.refs]
        # Claimed before admitted: who waits for another night's work takes no room from it.
        admitted = self.machine.admission.admit(step.stage)
        with self._turn, self.lake.claim(claimed) as claim, admitted, self.limited(step):
            missing = self.missing(step)
            began, mark = time.monotonic(), self.machine.meter.mark()
            self.watcher.started(step, len(missing))
            warnings = _run_cells(self, step, missing, claim) if missing else ()
        return self._conclude(step, "ran" if missing else "cached", began, mark, len(missing), warnings)

    def _conclude(
        self, step: Step, state: State, began: float, mark: int, ran: int = 0, warnings: tuple[str, ...] = ()
    ) -> Outcome:
        rows = sum(self.manifest(ref)["rows"] for c in step.cells for ref in c.refs)
        seconds, peak = time.monotonic() - began, self.machine.meter.peak_since(mark)
        outcome = Outcome(step.name, state, seconds, rows, len(step.cells), ran, began - self.began, peak, warnings)
        self.watcher.finished(outcome)
        return outcome

    def manifest(self, ref: Ref) -> dict[str, Any]:
        """Manifest of an artifact that stands."""
        return self.artifact(ref).manifest

    def artifact(self, ref: Ref) -> Artifact:
        """An artifact that an earlier step of this run has made sure of."""
        artifact = Artifact(ref, self.lake.local(ref))
        if not (artifact.path / MANIFEST).exists():
            found = self.lake.find(ref)
            if found is None:
                raise Failure(f"{ref.folder} is gone from the lake; run the night again to rebuild it")
            return found
        return artifact

    def standing(self, value: Input) -> Input:
        """What a stage is given to read, as it was planned, with the files of every artifact."""
        return each(value, lambda planned: self.artifact(planned.ref))


@dataclass(frozen=True)
class Written:
    """What one call has written aside."""

    cell: Cell
    outputs: Outputs
    run: dict[str, Any]


def _run_cells(night: Night, step: Step, cells: list[Cell], claim: Claim) -> tuple[str, ...]:
    """Compute, audit and publish; good days are published even when others of them fail their audit."""
    folder = night.lake.aside()
    try:
        written = _compute(night, step, cells, folder)
        fault_points.point(f"{step.name}:computed")
        verdicts = _audit(night, step, written)
        fault_points.point(f"{step.name}:audited")
        _refuse_edited_code(step)
        refused = []
        for one in written:
            verdict = verdicts[one.cell.date]
            describe_all(one, verdict)
            if all(v.passed for v in verdict.values()):
                claim.verify()
                _publish(night, one)
            else:
                refused.append(_quarantine(night, one, verdict))
        if refused:
            raise Failure("\n".join(refused))
        return _grouped(f for v in verdicts.values() for one in v.values() for f in one.warnings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_edited_code(step: Step) -> None:
    """Keys say what code an artifact came from: what may have come from other code is not kept under them.

    Raises:
        Failure: a source file of the stage was edited while the run was under way.
    """
    if edited := edited_since(step.stage.reached):
        raise Failure(
            f"{step.name}: {', '.join(edited[:4])}{' and more' if len(edited) > 4 else ''} changed while the run was "
            "under way, so that nobody knows which code made what it has made; nothing of that is kept. Run it again, "
            "and leave the checkout alone until it is done"
        )


def _grouped(warnings: Iterable[Finding]) -> tuple[str, ...]:
    """One message a rule: that of its first day, and how many days more."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in warnings:
        groups.setdefault((finding.dataset, finding.expectation, finding.column), []).append(finding)
    days = (("", f" (and on {len(g) - 1} more days)")[len(g) > 1] for g in groups.values())
    return tuple(g[0].message + more for g, more in zip(groups.values(), days, strict=True))


def _compute(night: Night, step: Step, cells: list[Cell], folder: Path) -> list[Written]:
    def task(cell: Cell, report: OnProgress, around: Part) -> tuple[Outputs, dict[str, Any]]:
        inputs = {name: night.standing(value) for name, value in cell.inputs.items()}
        aside, produces = folder / cell.date, step.stage.produces
        outputs = Outputs(cell.date, aside, produces, night.resources, night.home, step.name, report, around)
        return outputs, {**inputs, **cell.parameters}

    fault_points.point(f"{step.name}:begin")
    for ref in (r for c in cells for r in c.refs):
        fault_points.trace("computing", ref.folder)
    if step.stage.parallel and len(cells) >= POOL_FROM_CELLS and night.resources.threads > 1:
        return _compute_in_workers(night, step, cells, lambda cell: task(cell, _silent, plainly))
    written = []
    for number, cell in enumerate(cells):

        def report(done: int, total: int, what: str, number: int = number) -> None:
            whole = len(cells) > 1
            night.watcher.progressed(step, number if whole else done, len(cells) if whole else total, what)

        outputs, run = _call(step.stage.function, *task(cell, report, night.around))
        written.append(Written(cell, outputs, run))
        if len(cells) > 1:
            fault_points.point(f"{step.name}:progress")
            night.watcher.progressed(step, number + 1, len(cells), cell.date)
    return written


def _compute_in_workers(
    night: Night, step: Step, cells: list[Cell], task: Callable[[Cell], tuple[Outputs, dict[str, Any]]]
) -> list[Written]:
    workers = min(night.resources.threads, len(cells))
    # Spawned, never forked: a child forked after FAISS or OpenMP was used here would hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _follow_parent, (os.getpid(),)) as pool:
        function = step.stage.function
        names = function.__module__, function.__name__
        futures: dict[Future[tuple[Outputs, dict[str, Any]]], Cell] = {
            pool.submit(_call_by_name, *names, *task(c)): c for c in cells
        }
        done: dict[str, Written] = {}
        for future in as_completed(futures):
            outputs, run = future.result()
            done[futures[future].date] = Written(futures[future], outputs, run)
            fault_points.point(f"{step.name}:progress")
            night.watcher.progressed(step, len(done), len(cells), futures[future].date)
    return [done[cell.date] for cell in cells]


def _silent(done: int, total: int, what: str) -> None:
    """Progress of a worker process is counted in days."""


def _follow_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(function: Callable[..., None], outputs: Outputs, arguments: dict[str, Any]) -> tuple[Outputs, dict[str, Any]]:
    """Call a stage's function and time it."""
    began = time.monotonic()
    function(outputs, **arguments)
    outputs.report = _silent
    run = {
        "seconds": round(time.monotonic() - began, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": platform.node(),
        "python": platform.python_version(),
        "measures": outputs.measures,
    }
    return outputs, run


def _call_by_name(
    module: str, name: str, outputs: Outputs, arguments: dict[str, Any]
) -> tuple[Outputs, dict[str, Any]]:
    """In a worker: a `Stage` does not pickle, its name does."""
    stage: Stage = getattr(import_module(module), name)
    return _call(stage.function, outputs, arguments)


def _audit(night: Night, step: Step, written: list[Written]) -> dict[str, dict[str, Verdict]]:
    """Verdict by date and dataset."""
    from tasks.engine.audit import audit

    references = _references(night, step)
    verdicts: dict[str, dict[str, Verdict]] = {one.cell.date: {} for one in written}
    for dataset in (DATASETS[name] for name in step.stage.produces):
        if not dataset.is_table:
            continue
        parts = {one.cell.date: one.outputs[dataset.name].path for one in written}
        others = {ref.date: night.lake.manifest(ref) for ref in step.refs(dataset.name) if ref.date not in parts}
        recent = {date: int(manifest["rows"]) for date, manifest in others.items() if manifest}
        for date, verdict in audit(dataset, parts, references, recent, night.docs).items():
            verdicts[date][dataset.name] = verdict
    return verdicts


def _references(night: Night, step: Step) -> Mapping[str, pa.Array]:
    """Ids that may occur, by column name."""
    references = {}
    for column, known in step.audited_against.items():
        ids = night.artifact(known.ref).table([column])[column]
        references[column] = ids.combine_chunks()
    return references


def _publish(night: Night, written: Written) -> None:
    for ref in written.cell.refs:
        if written.cell.stage.name in night.force:
            night.lake.remove(ref)
        night.lake.publish(ref, written.outputs[ref.dataset].path)
        night.machine.made[ref] = time.time()
        fault_points.trace("published", ref.folder)
        fault_points.point(f"{written.cell.stage.name}:published")


def _quarantine(night: Night, written: Written, verdicts: Mapping[str, Verdict]) -> str:
    lake = night.lake
    folders = {ref: written.outputs[ref.dataset].path for ref in written.cell.refs}
    findings = [f for v in verdicts.values() for f in v.failures]
    entry = quarantine(lake, written.cell.stage.name, folders, {"findings": [f.to_dict() for f in findings]})
    lines = [f.message for f in findings]
    where = "" if lake.url == lake_of(night.home) else f" --lake {redacted(lake.url)}"
    return "\n".join(
        [
            f"audit failed: {written.cell.stage.name} of {written.cell.date} is in quarantine, nothing after it ran",
            *(f"  {line}" for line in lines),
            f"  look: nightjar quarantine show {entry.id}{where}    "
            f"accept: nightjar quarantine release {entry.id}{where} --why ...",
        ]
    )


def describe_all(written: Written, verdicts: Mapping[str, Verdict]) -> None:
    """Finish the folders of a call: `run.json` and `manifest.json` in each."""
    for ref in written.cell.refs:
        folder = written.outputs[ref.dataset].path
        verdict = verdicts.get(ref.dataset)
        audit = verdict.summary() if verdict else {}
        write_json(folder / RUN, written.run, durable=False)
        manifest = describe(written.cell, ref, folder, written.outputs.notes, audit)
        write_json(folder / MANIFEST, sealed(manifest), durable=False)


def describe(cell: Cell, ref: Ref, folder: Path, notes: dict[str, Any], audit: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a finished folder: what it is, what it came from, and a hash of all that is in it."""
    dataset = DATASETS[ref.dataset]
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p not in (folder / MANIFEST, folder / RUN))
    hashes = files_sha256(paths)
    files = {
        p.relative_to(folder).as_posix(): {"sha256": h, "bytes": p.stat().st_size}
        for p, h in zip(paths, hashes, strict=True)
    }
    if dataset.is_table:
        table = read_parts([p for p in paths if p.suffix == ".parquet"], dataset.schema)
        rows, digest = table.num_rows, table_digest(table, dataset.key)
    else:
        rows, digest = 0, table_digest(pa.table({"file": list(files), "sha256": hashes}), ())
    return {
        "dataset": ref.dataset,
        "date": ref.date,
        "key": ref.key,
        **{name: value for name, value in cell.ingredients.items() if name != "date"},
        "rows": rows,
        "schema": {f.name: str(f.type) for f in dataset.schema},
        "content_digest": digest,
        "files": files,
        "audit": audit,
        "notes": notes,
    }
