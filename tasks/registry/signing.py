"""Signatures of releases: who holds the private key says of a manifest, and so of every file, its name and its day.

Optional. The private key is `<home>/keys/signing.pem`, which only its owner can read, or the file that
`NIGHTJAR_SIGNING_KEY` names; whoever reads releases pins public keys in `<home>/keys/pinned`, or by
`NIGHTJAR_RELEASE_KEY`. Ed25519 (RFC 8032).
"""

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.errors import UserError
from expectations.files import replacing, write_text
from tasks.registry.release_layout import MANIFEST_TAG

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_TAG = "nightjar.signature"
"""Tag of a version: the signature of `statement` in base64."""

DATE_TAG = "nightjar.date"
SIGNING, PINNED = "NIGHTJAR_SIGNING_KEY", "NIGHTJAR_RELEASE_KEY"
_KIND = "ed25519:"


def statement(model: str, tags: Mapping[str, str]) -> bytes:
    """What is signed of a version: the model's name, the day, and the sha256 of the manifest."""
    return f"nightjar release\n{model}\n{tags.get(DATE_TAG, '')}\n{tags.get(MANIFEST_TAG, '')}\n".encode()


@dataclass(frozen=True)
class Keys:
    """The keys of a home."""

    home: Path

    @property
    def private_file(self) -> Path:
        return Path(os.environ.get(SIGNING) or self.home / "keys" / "signing.pem")

    @property
    def pinned_file(self) -> Path:
        return self.home / "keys" / "pinned"

    def make(self) -> str:
        """Make the private key; returns the public one.

        Raises:
            UserError: there is one already.
        """
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if self.private_file.exists():
            raise UserError(f"{self.private_file} is there already; to sign by another key, move it away first")
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        self.private_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(self.private_file, private=True) as aside:
            aside.write_bytes(pem)
        return _text_of(made.public_key())

    def public(self) -> str:
        """The public key of the private one, as text; empty when there is none."""
        private = self._private()
        return _text_of(private.public_key()) if private else ""

    def signed(self, model: str, tags: Mapping[str, str]) -> dict[str, str]:
        """The tag that signs a version with these; none without a key, or for a version without a manifest."""
        private = self._private() if tags.get(MANIFEST_TAG) else None
        if private is None:
            return {}
        return {SIGNATURE_TAG: base64.b64encode(private.sign(statement(model, tags))).decode()}

    def pinned(self) -> tuple[str, ...]:
        """The public keys of which one must have signed whatever is opened here; none: no signature is asked for."""
        named = os.environ.get(PINNED)
        if named:
            return (public_key(named),)
        try:
            keys = tuple(public_key(line) for line in self.pinned_file.read_text().split())
        except FileNotFoundError:
            return ()
        if not keys:
            raise UserError(f"{self.pinned_file} names no key; pin one (nightjar key pin KEY), or none: --none")
        return keys

    def pin(self, keys: Iterable[str]) -> None:
        """Ask for a signature by one of these from now on; of nobody when there are none."""
        lines = [public_key(key) for key in keys]
        if lines:
            write_text(self.pinned_file, "\n".join(lines) + "\n")
        else:
            self.pinned_file.unlink(missing_ok=True)

    def _private(self) -> "Ed25519PrivateKey | None":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            found = load_pem_private_key(self.private_file.read_bytes(), None)
        except FileNotFoundError:
            if os.environ.get(SIGNING):
                raise UserError(f"{SIGNING}: {self.private_file} is not there") from None
            return None
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{self.private_file}: no private key can be read from it ({error})") from None
        if not isinstance(found, Ed25519PrivateKey):
            raise UserError(f"{self.private_file}: no Ed25519 key; nightjar key new makes one")
        return found


def public_key(given: str) -> str:
    """A public key as text (`ed25519:...`), from that text, from PEM, or from a file that has either.

    Raises:
        UserError: it is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = given.strip()
    try:
        if not text.startswith((_KIND, "-----")):
            text = Path(text).read_text().strip()
        if text.startswith("-----"):
            found = load_pem_public_key(text.encode())
            if not isinstance(found, Ed25519PublicKey):
                raise ValueError("no Ed25519 key")
            return _text_of(found)
        return _text_of(Ed25519PublicKey.from_public_bytes(_raw(text)))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{given[:80]!r} is no public key ({error}); name a file with it, or write it as `nightjar key` shows it"
        ) from None


def is_signed(model: str, tags: Mapping[str, str], keys: Iterable[str]) -> bool:
    """Whether one of these public keys has signed a version with these tags."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for key in keys:
        try:
            signature = base64.b64decode(tags.get(SIGNATURE_TAG, ""), validate=True)
            Ed25519PublicKey.from_public_bytes(_raw(key)).verify(signature, statement(model, tags))
            return True
        except (InvalidSignature, ValueError):
            continue
    return False


def _text_of(key: "Ed25519PublicKey") -> str:
    return _KIND + base64.b64encode(key.public_bytes_raw()).decode()


def _raw(text: str) -> bytes:
    if not text.startswith(_KIND):
        raise ValueError(f"it does not begin with {_KIND}")
    return base64.b64decode(text.removeprefix(_KIND), validate=True)
