"""How the models of the catalogue that stand on Spark jobs, or on counts, are trained: the jobs are the night's own."""

from models.collaborative.popularity import Popularity, decayed_counts
from models.interactions import Interactions, Trained, Training
from spark_jobs.config import PopularityConfig


def train_popularity(data: Interactions, config: PopularityConfig, training: Training) -> Trained:
    """Count."""
    return Trained(Popularity(decayed_counts(data, config.half_life_days)))
