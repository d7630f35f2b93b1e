"""What came out of a night, published: pointers, the champion, Data Docs, report and model card, Prefect's page."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expectations.files import write_text
from flows.config import NightlyConfig
from flows.night.plan import Plan
from flows.night.prefect_page import show_results
from flows.night.records import RunRecord
from tasks.engine.audit import build_docs
from tasks.engine.lake import Artifact
from tasks.engine.running import Night, Outcome
from tasks.machine.home import told
from tasks.pages.data import RunFacts, StageTime
from tasks.registry.registry import Registry, Version
from tasks.releases.gates import Decision, decide
from tasks.stages.release import version_in
from tasks.stages.report import CARD, PAGE, render_cards, render_report

CURRENT = ("recommendations", "embeddings")
"""Datasets that others read through a pointer."""

KNOWN = ("users", "items", "histories")
"""What the recommender knew, as of the cut; the gates judge by it."""


def publish_results(
    night: Night, plan: Plan, record: RunRecord, outcomes: Sequence[Outcome], config: NightlyConfig
) -> dict[str, Any]:
    """Decide about the champion, make the results of a night visible, and return them in short."""
    made = {d: night.artifact(s.refs(d)[0]) for s in plan.steps for d in s.stage.produces if len(s.cells) == 1}
    for name in CURRENT:
        night.lake.point(made[name].ref)
    ran = any(o.state == "ran" for o in outcomes)
    docs = build_docs(night.docs) if night.docs and night.builds_docs and ran else (night.docs or Path()) / "index.html"
    registry = Registry(night.home, night.resources.registry)
    with night.lake.claim([made["release"].ref]):  # another run of this night may end at the same moment
        known = {v.number for v in registry.versions()}
        alias, scratch = config.release.alias, night.home / "scratch"
        version = version_in(registry, made["release"], made["bundle"], made["recommendations"], alias, scratch)
        decision = _decide(night, plan, made, registry, version, config)
    facts = _facts(night, record, made, outcomes, docs, version, registry, decision)
    page = _write(night, plan, config.system, PAGE, render_report(made["report"], facts))
    whole, brief = render_cards(made["report"], made["evaluation"], made["bundle"], facts)
    card = _write(night, plan, config.system, CARD, whole)
    if ran or version.number not in known:
        registry.attach(version.run_id, page, "report")
        registry.attach(version.run_id, card, "report")
        registry.describe(version.number, brief)
    places = {"report": told(night.home, str(page)), "data_docs": told(night.home, str(docs))}
    record.release = {"version": version.number, "digest": version.digest, **places}
    summary = {
        "date": plan.days.day,
        "version": version.number,
        "digest": version.digest,
        "run_id": version.run_id,
        "registry": registry.uri,
        "report": str(page),
        "data_docs": str(docs),
        "bundle": str(made["bundle"].path),
        "figures": made["evaluation"].notes,
        "recall": made["index"].notes["recall"],
        "gates": {
            "outcome": decision.outcome,
            "champion": decision.champion,
            "decision": str(decision),
            "verdicts": [{"gate": v.gate, "passed": v.passed, "figures": v.figures} for v in decision.verdicts],
        },
    }
    show_results(made, summary, registry)
    return summary


def _decide(
    night: Night, plan: Plan, made: dict[str, Artifact], registry: Registry, version: Version, config: NightlyConfig
) -> Decision:
    """Ask the gates about this night's release."""
    everything = [night.artifact(r) for s in plan.steps for c in s.cells for r in c.refs]
    cut = {a.dataset: a for a in everything if a.date == plan.days.cut and a.dataset in KNOWN}
    watches = [a for a in everything if a.dataset == "watches" and a.date in plan.days.judge]
    return decide(
        registry,
        version,
        {**made, **cut},
        watches,
        everything,
        night.home / "scratch",
        config.release.gates,
        config.evaluation,
        night.promotes,
    )


def _facts(
    night: Night,
    record: RunRecord,
    made: dict[str, Artifact],
    outcomes: Sequence[Outcome],
    docs: Path,
    version: Version,
    registry: Registry,
    decision: Decision,
) -> RunFacts:
    """What differs from run to run, for report and model card: version, times, latencies, the command."""
    return RunFacts(
        version=version.name,
        stages=tuple(StageTime(o.step, o.state, o.seconds, o.rows, o.peak_bytes) for o in outcomes),
        index=made["index"].run.get("measures", {}),
        total_seconds=time.monotonic() - night.began,
        gates=tuple((v.gate, "passed" if v.passed else "failed", v.figures) for v in decision.verdicts),
        decision=str(decision),
        links={"lake": night.lake.url, "data docs": str(docs), "registry": registry.uri},
        command=record.command(night.home),
    )


def _write(night: Night, plan: Plan, system: str, name: str, text: str) -> Path:
    """A page of the night, whole or not at all; systems of one day have folders of their own."""
    path = night.home / "reports" / plan.days.day / system / name
    write_text(path, text)
    return path
