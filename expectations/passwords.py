"""Passwords stand in URLs, and URLs in messages, logs and pages."""

import re

_SECRET = r"(?:pass|password|passwd|passphrase|pwd|secret|token|(?<!ssl)(?<!ssl_)key)"
"""How the name of a parameter ends whose value is secret; `sslkey` is the path of a file."""


def redacted(text: str, spaces: bool = False) -> str:
    """A text without the passwords of its URLs.

    A password reaches to the last `@`, whatever is in it, as SQLAlchemy takes slashes for a part of it.

    Args:
        spaces: passwords may have spaces in them, as they may where the text is a URL and nothing more.
    """
    no = "" if spaces else r"\s"
    text = re.sub(rf"://([^:/{no}]*):[^@{no}][^\n{no}]*@", r"://\1:***@", text)
    return re.sub(rf"((?:[?&;]|%3B)\w*{_SECRET}(?:=|%3D))[^&\s'\"]+", r"\1***", text, flags=re.IGNORECASE)
