"""SSH signatures: what ssh-keygen makes we take, and what we make it takes."""

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from departments.office import sshsig
from departments.office.sshsig import (
    NotSsh,
    armoured,
    fingerprint,
    public_text,
    read_public_base64,
    read_signature,
    sign,
    unarmoured,
    verifies,
)
from tests.builders.signing import MARAS, a_key

NAMESPACE = "plan-approval@tradefirm"
TEXT = b"what was approved is what runs\n"
PUBLIC = MARAS.public_key().public_bytes_raw()

# Made with `ssh-keygen -Y sign -n plan-approval@tradefirm` (OpenSSH 9.2) over TEXT, with MARAS.
BY_SSH_KEYGEN = {
    "sha512": """\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgiojj3XQJ8ZX9UtstPLpdcspnCb
8dlBIb83SIAbQPb1wAAAAXcGxhbi1hcHByb3ZhbEB0cmFkZWZpcm0AAAAAAAAABnNoYTUx
MgAAAFMAAAALc3NoLWVkMjU1MTkAAABAKJD/ySymY7FFCxkuaFQi6CDac92xDRF9psqgt0
DZE+RVw9PNRVP/WTm6qRRdgfr5imsvErhEFnG1M+s3FNWGBw==
-----END SSH SIGNATURE-----
""",
    "sha256": """\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgiojj3XQJ8ZX9UtstPLpdcspnCb
8dlBIb83SIAbQPb1wAAAAXcGxhbi1hcHByb3ZhbEB0cmFkZWZpcm0AAAAAAAAABnNoYTI1
NgAAAFMAAAALc3NoLWVkMjU1MTkAAABAlPeHg88youqvO0TrgL7eaDYBxKJOxs5XdeEiaq
zC+Tc+FjzZ+Lj7dhTXLjG3RJOTjFSVCFBmQVN/oRlk2LPbDg==
-----END SSH SIGNATURE-----
""",
}
needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed; the signatures it made once stand above"
)


@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_a_signature_that_ssh_keygen_made_is_taken(algorithm):
    signature = read_signature(unarmoured(BY_SSH_KEYGEN[algorithm]))

    assert (signature.public_key, signature.namespace, signature.hash_algorithm) == (PUBLIC, NAMESPACE, algorithm)
    assert verifies(signature, TEXT)
    assert not verifies(signature, TEXT + b"\n")


def test_ed25519_gives_the_very_signature_that_ssh_keygen_gave():
    assert armoured(sign(TEXT, MARAS, namespace=NAMESPACE)) == BY_SSH_KEYGEN["sha512"]


def test_a_key_is_named_as_ssh_keygen_names_it():
    assert fingerprint(PUBLIC) == "SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8"
    assert public_text(PUBLIC) == ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c")


@needs_ssh_keygen
def test_ssh_keygen_takes_what_we_sign_and_nothing_else(tmp_path):
    (tmp_path / "allowed").write_text(f"mara {public_text(PUBLIC)}\n")
    (tmp_path / "sig").write_text(armoured(sign(TEXT, MARAS, namespace=NAMESPACE)))
    verify = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "mara", "-n", NAMESPACE, "-s", "sig"]

    codes = [
        subprocess.run(verify, input=text, cwd=tmp_path, capture_output=True, check=False).returncode
        for text in (TEXT, TEXT + b"x")
    ]

    assert codes[0] == 0
    assert codes[1] != 0


@needs_ssh_keygen
def test_we_take_what_ssh_keygen_signs_with_our_key(tmp_path):
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_bytes(a_key(7).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))

    words = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    said = subprocess.run(words, input=TEXT, capture_output=True, check=True).stdout.decode()

    signature = read_signature(unarmoured(said))
    assert signature.public_key == a_key(7).public_key().public_bytes_raw()
    assert verifies(signature, TEXT)


@given(st.binary(max_size=300), st.integers(0, 4095))
def test_one_bit_changed_anywhere_and_it_is_no_signature_of_this_text_by_this_key_any_more(text, bit):
    blob = bytearray(base64.b64decode(sign(text, MARAS, namespace=NAMESPACE)))
    bit %= len(blob) * 8
    blob[bit // 8] ^= 1 << bit % 8

    try:
        signature = read_signature(base64.b64encode(blob).decode())
    except NotSsh:
        return
    reserved = range(*_reserved_length(blob))  # not kept apart; a length there that is not 0 breaks the rest
    assert bit // 8 not in reserved
    assert not verifies(signature, text)


def _reserved_length(blob):
    at = 6 + 4 + 4 + 51 + 4 + len(NAMESPACE)
    return at, at + 4


def test_a_verification_that_looks_away_would_be_caught(monkeypatch):
    monkeypatch.setattr(sshsig, "_signed_data", lambda *_: b"always the same")
    signature = read_signature(sign(TEXT, MARAS, namespace=NAMESPACE))

    assert verifies(signature, b"another text")  # the fault shows: the tests above would fail


@given(st.binary(max_size=200))
def test_any_bytes_are_a_signature_or_one_clear_refusal(blob):
    with pytest.raises(NotSsh):
        read_signature(base64.b64encode(b"SSHSIG\x00\x00\x00\x01" + blob).decode())


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", base64.b64encode(b"SSHSIG\x00\x00\x00\x02").decode()])
def test_what_is_no_signature_is_refused(text):
    with pytest.raises(NotSsh):
        read_signature(text)


@pytest.mark.parametrize("text", ["", "AAAA", "-----BEGIN SSH SIGNATURE-----\nAAAA"])
def test_what_has_no_armour_is_refused(text):
    with pytest.raises(NotSsh):
        unarmoured(text)


def test_another_kind_of_key_is_refused():
    rsa = base64.b64encode(b"\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01").decode()

    with pytest.raises(NotSsh, match="ssh-rsa"):
        read_public_base64(rsa)
