"""SSH signatures, as `ssh-keygen -Y sign` makes them and `ssh-keygen -Y verify` takes them: Ed25519 only. Pure.

Source: OpenSSH's PROTOCOL.sshsig; RFC 4251 section 5 for strings, RFC 8709 for Ed25519 keys and signatures.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_TYPE = "ssh-ed25519"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE_LENGTH = 70
_KEY_LENGTH, _SIGNATURE_LENGTH = 32, 64


class NotSsh(ValueError):
    """Bytes that are no SSH signature or key of the kind we take. The text says what was expected and what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a signature says of itself; nothing of it is to be believed before `verifies`.

    Attributes:
        public_key: Of whoever signed, 32 bytes.
        namespace: What the signature is for.
        hash_algorithm: `sha256` or `sha512`.
        raw: 64 bytes.
    """

    public_key: bytes
    namespace: str
    hash_algorithm: str
    raw: bytes


def sign(text: bytes, key: "Ed25519PrivateKey", *, namespace: str) -> str:
    """Sign.

    Returns:
        The signature's base64 on one line; `armoured` makes of it what ssh-keygen reads.
    """
    public = key.public_key().public_bytes_raw()
    raw = key.sign(_signed_data(text, namespace, "sha512"))
    fields = (public_blob(public), namespace.encode(), b"", b"sha512", _joined(KEY_TYPE.encode(), raw))
    blob = _MAGIC + struct.pack(">I", _VERSION) + _joined(*fields)
    return base64.b64encode(blob).decode()


def armoured(signature: str) -> str:
    """One line of base64 as ssh-keygen writes it."""
    lines = [signature[at : at + _LINE_LENGTH] for at in range(0, len(signature), _LINE_LENGTH)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def unarmoured(text: str) -> str:
    """What ssh-keygen wrote as one line of base64.

    Raises:
        NotSsh: The first or the last line is missing.
    """
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0].strip() != _BEGIN or lines[-1].strip() != _END:
        raise NotSsh(f"expected {_BEGIN} and {_END}")
    return "".join(line.strip() for line in lines[1:-1])


def read_signature(signature: str) -> Signature:
    """Take a signature apart.

    Args:
        signature: Its base64, on one line.

    Raises:
        NotSsh: It isn't one, or not one by an Ed25519 key.
    """
    blob = _decoded(signature)
    if blob[: len(_MAGIC)] != _MAGIC:
        raise NotSsh("expected it to begin with SSHSIG")
    blob = blob[len(_MAGIC) :]
    if blob[:4] != struct.pack(">I", _VERSION):
        raise NotSsh(f"expected version {_VERSION}")
    public, namespace, _reserved, algorithm, signed = _split(blob[4:], 5)
    kind, raw = _split(signed, 2)
    if kind != KEY_TYPE.encode() or len(raw) != _SIGNATURE_LENGTH:
        raise NotSsh(f"expected an {KEY_TYPE} signature of {_SIGNATURE_LENGTH} bytes")
    try:
        names = (namespace.decode("ascii"), algorithm.decode("ascii"))
    except UnicodeDecodeError:
        raise NotSsh("expected a namespace and a hash's name in ASCII") from None
    if names[1] not in _HASHES:
        raise NotSsh(f"expected sha256 or sha512, was {names[1][:20]!r}")
    return Signature(public_key=read_public_blob(public), namespace=names[0], hash_algorithm=names[1], raw=raw)


def verifies(signature: Signature, text: bytes) -> bool:
    """Whether the key that the signature names signed exactly this text, for this namespace."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # 60 ms: not for every command

    data = _signed_data(text, signature.namespace, signature.hash_algorithm)
    try:
        Ed25519PublicKey.from_public_bytes(signature.public_key).verify(signature.raw, data)
    except (InvalidSignature, ValueError):  # ValueError: the 32 bytes are no point of the curve
        return False
    return True


def public_blob(public_key: bytes) -> bytes:
    """A public key as SSH sends it and as `.pub` files hold it in base64."""
    return _joined(KEY_TYPE.encode(), public_key)


def public_text(public_key: bytes) -> str:
    """A public key as one line of a `.pub` file, without a comment."""
    return f"{KEY_TYPE} {base64.b64encode(public_blob(public_key)).decode()}"


def read_public_blob(blob: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key.

    Raises:
        NotSsh: It is another key, or none.
    """
    kind, public = _split(blob, 2)
    if kind != KEY_TYPE.encode() or len(public) != _KEY_LENGTH:
        raise NotSsh(f"expected an {KEY_TYPE} key of {_KEY_LENGTH} bytes, was {kind[:40].decode('ascii', 'replace')!r}")
    return public


def read_public_base64(text: str) -> bytes:
    """As `read_public_blob`, from the base64 of a `.pub` file.

    Raises:
        NotSsh: It is another key, or none.
    """
    return read_public_blob(_decoded(text))


def fingerprint(public_key: bytes) -> str:
    """A key's name, as ssh-keygen shows it: `SHA256:...`."""
    digest = base64.b64encode(hashlib.sha256(public_blob(public_key)).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def _signed_data(text: bytes, namespace: str, algorithm: str) -> bytes:
    return _MAGIC + _joined(namespace.encode(), b"", algorithm.encode(), _HASHES[algorithm](text).digest())


def _joined(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _split(blob: bytes, count: int) -> list[bytes]:
    """Exactly `count` strings, and nothing after them."""
    parts = []
    for _ in range(count):
        if len(blob) < 4:
            raise NotSsh("it ends too early")
        (length,) = struct.unpack(">I", blob[:4])
        if len(blob) < 4 + length:
            raise NotSsh("it ends too early")
        parts.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    if blob:
        raise NotSsh(f"{len(blob)} bytes after its end")
    return parts


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotSsh("expected base64") from None
