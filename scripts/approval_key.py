"""The key that approvals are signed with, and `allowed_signers`: where they are, how they are read and made.

With paper money a key of FIRM_HOME's own is made and enrolled on first use. With live money nothing is: whose key may
approve live plans is for a person to write down.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.failure import Code, Failure
from scripts.file_modes import refuse_open
from scripts.surroundings import firm_home, person, private_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from departments.office.allowed_signers import Signer
    from departments.office.settings import FirmSettings, Settings

KEY_MAX_BYTES = 64 * 1024


def signers_path() -> Path:
    """Who may approve plans."""
    return firm_home() / "allowed_signers"


def key_path() -> Path:
    """FIRM_HOME's own key, an OpenSSH private key."""
    return firm_home() / "keys" / "approval_ed25519"


def own_key_path() -> Path:
    """What the firm signs its exit proposals with, where `monitor.auto_approve_exits` is on."""
    return firm_home() / "keys" / "firm_ed25519"


def with_signers(settings: "Settings") -> "Settings":
    """The settings, and who may approve: everything that an approval is judged by.

    Raises:
        Failure: `allowed_signers` can't be read or understood, or others can write to it.
    """
    return settings.model_copy(update={"signers": read_signers()})


def read_signers() -> "tuple[Signer, ...]":
    """Everybody who may approve; nobody where there is no file.

    Raises:
        Failure: As `with_signers`.
    """
    from departments.office.allowed_signers import MAX_BYTES, parse_signers
    from departments.office.bad_input import BadInput
    from departments.office.strict_yaml import read_bytes

    path = signers_path()
    if not path.exists():
        return ()
    refuse_open([path])
    try:
        data = read_bytes(path, expected="allowed_signers", max_bytes=MAX_BYTES)
        return parse_signers(data.decode("utf-8"), path)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    except UnicodeDecodeError:
        raise Failure(Code.BAD_INPUT, f"{path}: is not UTF-8, expected UTF-8 text") from None


def make_paper_key(firm: "FirmSettings") -> bool:
    """Make and enrol FIRM_HOME's own key if it has none. Nothing is made where any money is live.

    Returns:
        Whether one was made.

    Raises:
        Failure: It can't be written.
    """
    return _all_paper(firm) and _make_once(key_path(), person().replace(" ", "_"))


def own_key(firm: "FirmSettings") -> "Ed25519PrivateKey | None":
    """The key that the firm approves its exit proposals with, made and enrolled where there is none yet.

    Returns:
        None where any money is live: people approve there.

    Raises:
        Failure: It can't be written or read.
    """
    from departments.own_approval import FIRM_SIGNER

    if not _all_paper(firm):
        return None
    _make_once(own_key_path(), FIRM_SIGNER)
    return load_key(own_key_path())


def _all_paper(firm: "FirmSettings") -> bool:
    from messages.plans import Mode

    return {firm.mode, *(account.mode for account in firm.accounts.values())} == {Mode.PAPER}


def _make_once(path: Path, principal: str) -> bool:
    if path.exists():
        return False
    try:
        with _alone():
            if path.exists():
                return False
            _make(path, principal)
    except OSError as error:
        raise Failure(Code.BAD_INPUT, f"{path}: can't be made ({error.strerror})") from None
    return True


def load_key(path: Path) -> "Ed25519PrivateKey":
    """Read a private key as ssh-keygen makes it.

    Raises:
        Failure: It is missing, others can read it, it is locked with a passphrase, or it is no Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    from departments.office.bad_input import BadInput
    from departments.office.strict_yaml import read_bytes

    expected = "an Ed25519 key to approve with: ssh-keygen -t ed25519"
    try:
        data = read_bytes(path, expected=expected, max_bytes=KEY_MAX_BYTES)
    except BadInput as error:
        raise Failure(Code.BAD_INPUT, str(error)) from None
    bits = path.stat().st_mode & 0o777
    if bits & 0o077:
        raise Failure(Code.BAD_INPUT, f"{path}: open to others ({bits:03o}), expected your own alone: chmod 600 {path}")
    try:
        key = load_ssh_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their texts may quote the file
        raise Failure(Code.BAD_INPUT, f"{path}: can't be read without a passphrase, expected {expected}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Failure(Code.BAD_INPUT, f"{path}: another kind of key, expected {expected}")
    return key


def approver(key: "Ed25519PrivateKey", signers: "tuple[Signer, ...]") -> str:
    """The name that a key approves under: the typing person's where `allowed_signers` gives it that, else its first.

    Raises:
        Failure: It gives it none.
    """
    from departments.office.allowed_signers import signer_line
    from departments.office.sshsig import public_text, read_public_base64

    public = key.public_key().public_bytes_raw()
    names = [
        name for signer in signers if read_public_base64(signer.public_key) == public for name in signer.principals
    ]
    if not names:
        line = signer_line(person(), public_text(public)).removesuffix(" made by firm")
        raise Failure(Code.BAD_INPUT, f"{signers_path()}: does not know this key, expected a line like: {line}")
    return person() if person() in names else names[0]


def _make(path: Path, principal: str) -> None:
    """Enrol first: a line whose key was never written allows nobody anything."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from departments.office.allowed_signers import signer_line
    from departments.office.sshsig import public_text

    key = Ed25519PrivateKey.generate()
    signers = signers_path()
    before = signers.read_text(encoding="utf-8") if signers.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    line = signer_line(principal, public_text(key.public_key().public_bytes_raw()))
    _write(signers, f"{before}{line}\n".encode())
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, durably, for the owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time: a daemon that starts and a person who approves must not make a key each."""
    folder = key_path().parent
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
