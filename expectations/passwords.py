"""Passwords stand in URLs, and URLs in messages, logs and pages."""

import re


def redacted(text: str) -> str:
    """A text without the passwords of its URLs."""
    text = re.sub(r"://([^:@/\s]*):[^@/\s]+@", r"://\1:***@", text)
    return re.sub(r"([?&]\w*(?:password|passwd|pwd|secret|token)=)[^&\s'\"]+", r"\1***", text, flags=re.IGNORECASE)
