"""The two ways things end badly. Both carry one message that names the thing and the remedy."""


class UserError(Exception):
    """The user's mistake: a config, a file or an argument that must be changed. Exit code 2."""


class Failure(Exception):
    """Something that should have worked did not. Exit code 1."""


FREES_SPACE = "`nightjar gc --delete --grace-hours 0` helps"
"""Advice where a disk is full."""
