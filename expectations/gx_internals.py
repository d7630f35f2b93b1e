"""The one door to what Great Expectations 1.24 keeps to itself: the view of its pages, and the store they are built of.

Public is what its API reference has: suites, expectations, results and their schemas, contexts, `build_data_docs`. Each
part here says why that does not serve, and what to look at when a new release breaks it. That all of it is still there
and still does what is relied on, `tests/expectations/test_gx_internals.py` checks.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.render.view.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, DictLoader


class Page(DefaultJinjaPageView):
    """GX's view of a page with templates of one's own before GX's; a subclass says which.

    A site's configuration names a view and takes no templates, and `custom_views_directory` only those of another name.
    To look at: `_template` and `env` in `great_expectations/render/view/view.py`, the templates and the blocks that
    they are given in `great_expectations/render/view/templates/`.

    Attributes:
        templates: by name; the first is the page, others take the place of GX's.
        values: what templates may name besides what GX gives them.
    """

    templates: ClassVar[Mapping[str, str]]
    values: ClassVar[Mapping[str, str]]

    def __init_subclass__(cls) -> None:
        cls._template = next(iter(cls.templates))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.env.loader is not None
        self.env.loader = ChoiceLoader([DictLoader(self.templates), self.env.loader])
        self.env.globals.update(self.values)


def add_result(
    context: EphemeralDataContext, result: ExpectationSuiteValidationResult, run: RunIdentifier, batch: str
) -> None:
    """Let the next build of Data Docs show a result that was kept, as that of a run and a batch.

    A `Checkpoint` stores only what it validates itself. To look at: `validation_results_store` of the context, and
    `great_expectations/data_context/types/resource_identifiers.py`.
    """
    suite = ExpectationSuiteIdentifier(result.suite_name)
    context.validation_results_store.set(ValidationResultIdentifier(suite, run, batch), result)


def show_no_progress(context: EphemeralDataContext) -> None:
    """Keep a context from drawing progress bars, which would flood a log.

    To look at: `progress_bars` of `great_expectations/data_context/data_context_variables.py`, and its reader in
    `great_expectations/validator/validator.py`.
    """
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
