"""What stands in for data that a log does not have: manifests name it, pages say it in these sentences."""

from dataclasses import dataclass, field
from typing import Any

SENTENCES = {
    # Of a log
    "no_impressions": (
        "No impressions: the ranker learns from positives and sampled negatives, and exposures are empty."
    ),
    "no_propensities": "No propensities: every impression counts as certain (1).",
    "no_bar": "No bar for ratings or completion: every event counts as a positive.",
    "no_watch_time": "No watch time: seconds watched count as 0.",
    "no_completion": "No completion: every watch counts as complete (1).",
    "no_weights": "No weights: every event weighs 1.",
    # Of users and items
    "no_users": "No users: everyone is known from their first event, and by nothing else.",
    "no_signup_dates": "No sign-up dates: everyone listed counts as known from the first day.",
    "no_items": "No items: every item is known from its first event, and by nothing else.",
    "no_upload_dates": "No upload dates: everything listed counts as available from the first day.",
    "release_dates": "No upload dates: the release date of a film stands in where it is known.",
    "age_groups": "Ages are groups: the youngest age of the group stands in, 17 for under 18.",
    "first_events": "{count} {dataset} have events before their {dated}: the first event stands in for it.",
    "not_listed": "{count} {dataset} of the log are not listed: nothing but their id is known.",
    # Of what the ranker learns from
    "negatives_uniform": (
        "The log has no impressions: the ranker learns from positives against {num_negatives} items each, drawn "
        "uniformly from what the user has not watched, in place of items shown and not watched."
    ),
    "negatives_by_popularity": (
        "The log has no impressions: the ranker learns from positives against {num_negatives} items each, drawn "
        "by popularity from what the user has not watched, in place of items shown and not watched."
    ),
    "watches_for_seconds": ("The log has no watch time: expected watch seconds are the expected number of watches."),
    "mean_watch_time": "{count:,} of {total:,} watches have no watch time: they count as the mean.",
    "even_completion": "The log has no completion: the completion probability is 0.5 for every pair.",
}


@dataclass(frozen=True)
class Substitute:
    """Something that stands in for missing data.

    Attributes:
        name: of `SENTENCES`.
        figures: what the sentence has places for, as JSON types.
    """

    name: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What stands in for what, as pages say it to people."""
        return SENTENCES[self.name].format(**self.figures)

    def to_list(self) -> list[Any]:
        """Name and figures as JSON types, for a manifest."""
        return [self.name, self.figures]
