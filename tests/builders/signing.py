"""Keys to approve with. They are made from fixed bytes, so that a failure found by a seed is found again."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from departments.office.allowed_signers import Signer
from departments.office.sshsig import public_text


def a_key(number: int = 1) -> Ed25519PrivateKey:
    """The same number gives the same key."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


MARAS = a_key()


def a_signer(key: Ed25519PrivateKey = MARAS, name: str = "mara", **more: Any) -> Signer:
    """A line of `allowed_signers` that lets a key approve for every paper account, unless told otherwise."""
    public = public_text(key.public_key().public_bytes_raw()).split()[1]
    return Signer(principals=(name,), public_key=public, **more)
