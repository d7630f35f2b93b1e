"""Settings of the epoch loop that every trained model shares. Imports nothing heavy."""

from typing import Annotated

from pydantic import Field

from expectations.settings import settings


@settings
class FitConfig:
    """How long and how fast a model is trained."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak step size of AdamW."""
    final_learning_rate_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The step size falls linearly over `max_epochs` to this share of its peak; 1 keeps it constant."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Decoupled weight decay of AdamW."""
    max_gradient_norm: Annotated[float, Field(ge=0)] = 0.0
    """Gradients are scaled down to this L2 norm; 0 leaves them alone."""
    max_epochs: Annotated[int, Field(ge=1, le=1000)] = 10
    """Most passes over the training examples."""
    patience: Annotated[int, Field(ge=1, le=1000)] = 2
    """Epochs without a better validation metric after which training stops."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of the sums. Float sums differ between thread counts, so this decides content. The steps of small
    models are so short that threads mostly wait for each other, and on a busy machine lose by it."""
