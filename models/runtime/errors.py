"""What a bundle says when it cannot answer."""


class BundleError(ValueError):
    """A bundle that must not be used, or a question that it cannot answer; the message names the thing."""
