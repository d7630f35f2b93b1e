"""Settings of the made audience and catalogue. Imports nothing heavy."""

from datetime import date as Date
from typing import Annotated

from pydantic import AfterValidator, Field

from expectations.settings import settings

LIFETIME_DAYS = 3650
"""Days that a made service lives: it grows every day, so that a day far off would ask for more than a machine holds."""

Share = Annotated[float, Field(ge=0, le=1)]


def _iso(text: str) -> str:
    return Date.fromisoformat(text).isoformat()


@settings
class WorldConfig:
    """A streaming service that does not exist: how large it is, and how the people behave who use it."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Decides every draw; two seeds are two services."""
    first_day: Annotated[str, AfterValidator(_iso)] = "2026-01-01"
    """First day of the log (ISO). The service is older: people and titles were there before."""
    num_days: Annotated[int, Field(ge=1, le=LIFETIME_DAYS)] = 30
    """Days after which `num_users` and `num_items` are reached. Later days go on growing at the same pace."""

    num_users: Annotated[int, Field(ge=10, le=5_000_000)] = 1_000
    """Accounts at the end of day `num_days`."""
    num_items: Annotated[int, Field(ge=100, le=1_000_000)] = 2_000
    """Items in the catalogue at the end of day `num_days`."""
    watches_per_user_day: Annotated[float, Field(gt=0, le=20)] = 2.2
    """Watches a day, on average over everyone who has an account; about that, as it hangs on what there is to watch."""
    page_size: Annotated[int, Field(ge=2, le=50)] = 8
    """Places on a page of the home or browse surface; a search shows half as many."""

    cold_user_share: Annotated[float, Field(ge=0, le=0.15)] = 0.10
    """Accounts that little is known of on any day: half of them have signed up within three days, the other half
    have not come for four weeks (they come for four days in ninety)."""
    cold_item_share: Annotated[float, Field(ge=0, le=0.3)] = 0.05
    """Share of the catalogue that has been uploaded but has not had its premiere: nobody can have watched it."""
    new_item_share: Annotated[float, Field(gt=0, le=0.02)] = 0.003
    """Items uploaded a day, as a share of `num_items`."""
    expiring_item_share: Share = 0.20
    """Share of the items whose rights end, 60 to 300 days after their upload."""

    popularity_exponent: Annotated[float, Field(ge=0, le=2)] = 1.0
    """The k-th item appeals in proportion to k to the minus this; 0 makes all items equal."""
    freshness: Annotated[float, Field(ge=0, le=20)] = 4.0
    """How much more an item is shown at its premiere than later (times its later weight); wears off within weeks."""
    taste_strength: Annotated[float, Field(ge=0, le=5)] = 2.4
    """Standard deviation of the log of what people like; 0 makes all people alike."""
    demographic_share: Share = 0.4
    """Share of the variance of tastes that age, gender, region and device explain."""
    drift: Share = 0.3
    """How far tastes move towards another set of tastes and back within `drift_period_days`; 0 keeps them still."""
    drift_period_days: Annotated[int, Field(ge=2, le=3650)] = 90
    """Length of that movement, in days."""
    idiosyncrasy: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    """How much the appeal of an item differs between people of one taste, as a share of it."""

    series_share: Annotated[float, Field(ge=0, le=0.5)] = 0.20
    """Share of the watches that follow a series, episode by episode."""
    rewatch_after_days: Annotated[int, Field(ge=0, le=365)] = 30
    """For as long, what a person has watched is neither shown to them nor watched again; 0 lets them repeat."""

    personalisation: Share = 0.5
    """How far the home page follows the person's tastes; the rest follows what appeals to everyone."""
    experiment_lift: Share = 0.15
    """What the running experiment's treatment adds to `personalisation`."""
    exploration: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Weight that the pages give to every item regardless of its appeal, as a share of the mean weight."""
    position_bias: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Place p of a page is looked at in proportion to p to the minus this; 0 looks at all places alike."""
    qoe_effect: Annotated[float, Field(ge=0, le=5)] = 1.0
    """How much of a watch is lost to buffering and low bit rates; 0 makes nobody leave for it."""
    rating_selection: Share = 1.0
    """How much rating depends on the opinion: 1 rates what is loved or hated, 0 rates anything alike."""
