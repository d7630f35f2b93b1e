"""May this release become the champion? Measures what the gates ask for, and writes the verdict to ledger and version.

The verdict is no artifact: it depends on the champion at the time, which is in no key (docs/decisions.md no. 26).
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.errors import Failure
from models.evaluation.config import EvaluationConfig
from models.gates import Figure, GatesConfig, GateVerdict, judge_release
from tasks.engine import fault_points
from tasks.engine.lake import Artifact
from tasks.registry.ledger import Entry, Ledger, head, verdicts_of
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import FOLDER
from tasks.releases.champion_lists import champion_lists

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from models.evaluation.truth import Judged
    from models.runtime import Bundle

TAG = "nightjar.gates"
TIMED_USERS = 30


@dataclass(frozen=True)
class Decision:
    """What became of a release: `champion`, `refused` by a gate, or a `candidate` that nobody asked to promote."""

    outcome: str
    verdicts: tuple[GateVerdict, ...]
    champion: int
    why: str = ""

    def __str__(self) -> str:
        if self.outcome == "champion":
            return "Every gate passed: it is the champion now."
        told = "Refused by its gates, stays a candidate" if self.outcome == "refused" else "Stays a candidate"
        champion = f"The champion is version {self.champion}." if self.champion else "There is no champion."
        return told + (f": {self.why}. " if self.why else ". ") + champion


def decide(
    registry: Registry,
    version: Version,
    made: Mapping[str, Artifact],
    watches: Iterable[Artifact],
    everything: Iterable[Artifact],
    scratch: Path,
    gates: GatesConfig,
    evaluation: EvaluationConfig,
    promotes: bool = True,
) -> Decision:
    """Judge the release of a night once, and make it the champion when every gate passes.

    Asked again about the same version, such as by a night that is cached or was killed on the way, it says the same. So
    it must not be asked twice at the same moment: the caller claims the release.

    Args:
        version: what the night's release is in the registry.
        made: the night's artifacts by dataset.
        watches: the judged days.
        everything: artifacts whose audits must be clean.
        promotes: false for a backfilled night, whose gates are measured and which stays a candidate.
    """
    number, ledger = version.number, Ledger(registry)
    champion = ledger.repair()
    before = _decided(ledger, version)
    if before:
        return before
    newest = head(ledger.entries())
    measure = _Measures(registry, made, tuple(watches), tuple(everything), scratch, gates, evaluation, champion)
    verdicts = judge_release(measure.all(), gates, bool(champion))
    decision = _act(registry, ledger, number, newest, champion, verdicts, made["release"].date, promotes)
    fault_points.point("gates:decided")
    facts = {"outcome": decision.outcome, "why": decision.why, "champion": decision.champion}
    facts["verdicts"] = [asdict(v) for v in verdicts]
    registry.tag(number, TAG, json.dumps(facts))
    return decision


def _decided(ledger: Ledger, version: Version) -> Decision | None:
    """What was decided before: by the version's tag, or by the ledger when the tag was never written, or went with a
    version of the same release that somebody has deleted."""
    if TAG in version.tags:
        facts = json.loads(version.tags[TAG])
        return Decision(facts["outcome"], verdicts_of(facts["verdicts"]), facts["champion"], facts["why"])
    at_hand = ledger.at_hand()
    entry = next((e for e in ledger.entries() if at_hand(e) == version.number and e.gates and e.valid), None)
    if entry is None:
        return None
    champion = version.number if entry.moves else entry.before
    return Decision("champion" if entry.moves else "refused", verdicts_of(entry.gates.values()), champion, entry.why)


def _act(
    registry: Registry,
    ledger: Ledger,
    number: int,
    newest: Entry | None,
    champion: int,
    verdicts: list[GateVerdict],
    date: str,
    promotes: bool,
) -> Decision:
    told = tuple(verdicts)
    failed = [str(v) for v in verdicts if not v.passed]
    by_gate = {v.gate: asdict(v) for v in verdicts}
    if not promotes:
        return Decision("candidate", told, champion, "; ".join(failed) or "passed; a backfilled night is not promoted")
    if failed:
        ledger.note(number, "; ".join(failed)[:1000], by_gate)
        return Decision("refused", told, champion, "; ".join(failed))
    if champion and date < registry.date_at("champion"):
        return Decision("candidate", told, champion, "passed, but the champion is of a later day")
    try:
        ledger.move(number, "all gates passed", after=newest.sequence if newest else 0, gates=by_gate)
    except Failure as error:
        now = ledger.repair()
        if now != number:
            return Decision("candidate", told, now, str(error))
        # Another machine has released the same at the same moment.
    return Decision("champion", told, number)


@dataclass
class _Measures:
    """The figures of one release; what cannot be computed says why."""

    registry: Registry
    made: Mapping[str, Artifact]
    watches: tuple[Artifact, ...]
    everything: tuple[Artifact, ...]
    scratch: Path
    gates: GatesConfig
    config: EvaluationConfig
    champion: int

    def all(self) -> dict[str, Figure]:
        measures: dict[str, Callable[[], dict[str, Figure]]] = {
            "audits": self._audits,
            "index_recall": lambda: {"index_recall": Figure(float(self.made["index"].notes["recall"]))},
            "coverage": self._coverage,
            "cold_start": self._cold_start,
            "empty_lists": self._empty_lists,
            "latency_ms": self._latency,
        }
        figures: dict[str, Figure] = {}
        for gate, measure in measures.items():
            figures |= self._tried((gate,), measure)
        if self.champion:
            figures |= self._tried(("ndcg", "recall", "segments"), self._against_champion)
        return figures

    def _tried(self, names: tuple[str, ...], measure: Callable[[], dict[str, Figure]]) -> dict[str, Figure]:
        """Whatever goes wrong in a measure, such as a champion that is gone, fails its gates and not the night."""
        try:
            return measure()
        except Exception as error:
            return {name: Figure(None, note=f"{type(error).__name__}: {error}"[:300]) for name in names}

    def _audits(self) -> dict[str, Figure]:
        audits = [(a, a.manifest["audit"]) for a in self.everything]
        bad = [a.dataset for a, audit in audits if audit and (not audit["passed"] or "released_because" in audit)]
        return {"audits": Figure(float(len(bad)), note=", ".join(sorted(set(bad))))}

    def _coverage(self) -> dict[str, Figure]:
        key = ("final", "all", "coverage", self.k)
        rows = self.made["evaluation"].table().to_pylist()
        (value,) = [r["value"] for r in rows if (r["system"], r["segment"], r["metric"], r["k"]) == key]
        return {"coverage": Figure(float(value))}

    def _empty_lists(self) -> dict[str, Figure]:
        from models.serving.list_lengths import ListLengths

        lengths = ListLengths(**self.made["recommendations"].notes["lengths"])
        return {"empty_lists": Figure(lengths.share_empty, note=lengths.sentence)}

    @property
    def k(self) -> int:
        return self.config.primary_k

    @cached_property
    def users(self) -> "pa.Table":
        return self.made["users"].table(["user_id", "lifecycle", "engagement_tier"])

    @cached_property
    def judged(self) -> "Judged":
        from models.evaluation.truth import judged_users

        known = self.users["user_id"].to_numpy(), self.made["items"].table(["item_id"])["item_id"].to_numpy()
        days = (day.table(["user_id", "item_id", "positive"]) for day in self.watches)
        everyone = judged_users(days, *known, self.made["histories"].table(["user_id", "item_ids", "seen"]))
        return everyone.sample(self.gates.max_users, self.config.seed)

    @cached_property
    def ours(self) -> "Bundle":
        from models.runtime import Bundle

        return Bundle(self.made["bundle"].path / FOLDER, threads=1, verify=False)

    def _cold_start(self) -> dict[str, Figure]:
        import numpy as np

        listed = self.ours.recommend_for_history([], k=self.k).table["item_id"].to_numpy()
        lists = np.tile(listed.astype(np.int64), (len(self.judged.user_ids), 1))
        return {"cold_start": Figure(float(self.judged.truth.contains(lists).any(axis=1).mean()))}

    def _latency(self) -> dict[str, Figure]:
        import numpy as np

        seconds = []
        for user in self.judged.user_ids[:TIMED_USERS].tolist():
            began = time.perf_counter()
            self.ours.recommend([user], self.k)
            seconds.append(time.perf_counter() - began)
        return {"latency_ms": Figure(float(np.median(seconds)) * 1000)}

    def _against_champion(self) -> dict[str, Figure]:
        from models.evaluation.systems import lists_from_table
        from models.evaluation.truth import user_segments
        from models.metrics.ranking import ranking_metrics

        users, truth = self.judged.user_ids, self.judged.truth
        mine = lists_from_table(self.made["recommendations"].table(["user_id", "rank", "item_id"]), users, self.k)
        ours = ranking_metrics(truth.contains(mine), truth.sizes, [self.k])
        length = int(self.ours.pipeline["k"])
        there = champion_lists(self.registry, self.champion, self.ours.id_map, users, self.k, length, self.scratch)
        theirs = ranking_metrics(truth.contains(there), truth.sizes, [self.k])
        key = ("ndcg", self.k)
        segments = {
            name: self._change(ours[key][members], theirs[key][members], name)
            for name, members in user_segments(self.judged, self.users).items()
            if name != "all" and members.sum() >= self.gates.min_segment_users
        }
        worst = min(segments.values(), key=lambda f: f.high if f.high is not None else -1.0, default=None)
        return {
            "ndcg": self._change(ours[key], theirs[key]),
            "recall": self._change(ours["recall", self.k], theirs["recall", self.k]),
            "segments": worst or Figure(0.0, 0.0, "no segment is large enough to tell"),
        }

    def _change(self, ours: "np.ndarray", theirs: "np.ndarray", of: str = "") -> Figure:
        """Change as a share of the champion's mean; a champion without a single hit cannot be fallen behind."""
        from models.metrics.bootstrap import paired_bootstrap

        mean = float(theirs.mean())
        config = self.config
        c = paired_bootstrap(ours, theirs, config.seed, config.num_resamples, config.confidence_level)
        note = f"{of + ' ' if of else ''}{ours.mean():.4f} beside {mean:.4f} of version {self.champion}"
        if mean == 0:
            return Figure(0.0, 0.0, note)
        low, high = c.low / mean, c.high / mean
        return Figure(
            c.difference / mean, high, f"{note}; {config.confidence_level:.0%} interval {low:+.3f} to {high:+.3f}"
        )
