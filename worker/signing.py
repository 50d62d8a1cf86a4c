"""Signed rule sets: a release signs what decides, and a deployment takes nothing else.

What is signed is a text of a few lines, which begins with what it is, so that it can't be taken for anything else:

    claimscrub rule set signature 1
    version 0.1.0
    digest sha256:…
    package sha256:…
    reference none
    contracts sha256:…
    signed_at 2026-11-28T06:30:00Z

The signature file holds the same as JSON, with the id of the key and the Ed25519 signature over the text.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from rules.engine.files import NO_FOLDER, PartDigests
from worker.settings import PREFIX

_BEGIN, _END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"
_LONGEST_FILE = 65_536
_WHERE = {
    "package": "the installed package",
    "reference": f"reference data in {PREFIX}REFERENCE_FOLDER",
    "contracts": f"contract overlays in {PREFIX}CONTRACTS_FOLDER",
}
_Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Part = Annotated[str, StringConstraints(pattern=rf"^(sha256:[0-9a-f]{{64}}|{NO_FOLDER})$")]


class SignatureProblemError(RuntimeError):
    """A key or signature can't be used as it is; the message names the file and what is expected."""


class RulesMismatchError(RuntimeError):
    """The rule set is not the one that was signed; the message names what differs and what mends it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Parts(_Strict):
    package: _Digest
    reference: _Part
    contracts: _Part


class Signature(_Strict):
    """A signature file."""

    format: Literal["claimscrub.rules.signature.v1"] = "claimscrub.rules.signature.v1"
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,100}$")]
    digest: _Digest
    parts: _Parts
    signed_at: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
    key_id: _Digest
    signature: Annotated[str, StringConstraints(max_length=100)]

    @property
    def text(self) -> bytes:
        """What is signed."""
        return _text(self.version, self.digests, self.digest, self.signed_at)

    @property
    def digests(self) -> PartDigests:
        """Of the parts that were signed."""
        return PartDigests(**self.parts.model_dump())

    @classmethod
    def read(cls, path: Path) -> Self:
        """A signature file.

        Raises:
            SignatureProblemError: it is not there, or is none.
        """
        try:
            return cls.model_validate_json(_content(path))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "content"
            raise SignatureProblemError(
                f"{path}: not a signature of a rule set: {field}: {first['msg']}; make one with: claimscrub rules sign"
            ) from None


def _text(version: str, parts: PartDigests, digest: str, signed_at: str) -> bytes:
    return (
        f"claimscrub rule set signature 1\nversion {version}\ndigest {digest}\n{parts.statement}signed_at {signed_at}\n"
    ).encode()


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a key: the digest of its usual binary form (DER)."""
    return f"sha256:{sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()}"


def sign(version: str, parts: PartDigests, key: Ed25519PrivateKey, at: datetime) -> Signature:
    """Sign a rule set.

    Args:
        version: of the rule set.
        parts: the digests of its parts.
        key: signs.
        at: now, in UTC.
    """
    signed_at = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Signature(
        version=version,
        digest=parts.digest,
        parts=_Parts.model_validate(parts._asdict()),
        signed_at=signed_at,
        key_id=key_id(key.public_key()),
        signature=base64.b64encode(key.sign(_text(version, parts, parts.digest, signed_at))).decode(),
    )


def check(signature: Signature, keys: Mapping[str, Ed25519PublicKey], version: str, parts: PartDigests) -> None:
    """Make sure that this rule set, and no other, was signed with one of the keys.

    Args:
        signature: as read.
        keys: those that are trusted, by their ids.
        version: of the rule set that is here.
        parts: the digests of its parts.

    Raises:
        RulesMismatchError: says what differs.
    """
    key = keys.get(signature.key_id)
    if key is None:
        raise RulesMismatchError(
            f"the signature was made with the key {signature.key_id}; trusted here: {', '.join(keys)}"
        )
    try:
        key.verify(base64.b64decode(signature.signature, validate=True), signature.text)
    except (InvalidSignature, ValueError):
        raise RulesMismatchError("the signature is not genuine: what it signs was changed") from None
    differing = [
        f"{_WHERE[name]}: {signed} was signed, {here} is here"
        for name, signed, here in zip(parts._fields, signature.digests, parts, strict=True)
        if signed != here
    ]
    if version != signature.version:
        differing.insert(0, f"the version: {signature.version} was signed, {version} is here")
    if differing or signature.digest != parts.digest:
        raise RulesMismatchError("; ".join(differing) or "the digest is not that of the parts")


def read_public_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    """The keys of a PEM file, by their ids; several, while one takes the place of another.

    Raises:
        SignatureProblemError: the file can't be read, or holds something else.
    """
    content = _content(path)
    blocks = [_BEGIN + each for each in content.split(_BEGIN)[1:]]
    keys = {}
    for block in blocks:
        try:
            key = load_pem_public_key(block[: block.find(_END) + len(_END)])
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise SignatureProblemError(f"{path}: expected Ed25519 public keys (PEM), and nothing else")
        keys[key_id(key)] = key
    if not keys or b"PRIVATE KEY" in content:
        raise SignatureProblemError(f"{path}: expected one or more Ed25519 public keys (PEM), and nothing else")
    return keys


def read_private_key(path: Path, password: str) -> Ed25519PrivateKey:
    """The key that signs.

    Raises:
        SignatureProblemError: the file can't be read, its password is wrong, or it holds something else.
    """
    content = _content(path)
    encrypted = b"ENCRYPTED" in content
    if encrypted and not password:
        raise SignatureProblemError(f"{path}: the key has a password; give it in {PREFIX}SIGNING_KEY_PASSWORD")
    try:
        key = load_pem_private_key(content, password.encode() if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        also = f", or {PREFIX}SIGNING_KEY_PASSWORD is not its password" if encrypted else ""
        raise SignatureProblemError(f"{path}: not an Ed25519 private key (PEM){also}")
    return key


def make_keys(folder: Path, password: str) -> tuple[Path, Path]:
    """A new pair of keys; the private one is readable for its owner only, and encrypted if there is a password.

    Returns:
        The files of the private and of the public key.

    Raises:
        SignatureProblemError: a file can't be written, or is there already.
    """
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private, public = folder / "rules-signing.key", folder / "rules-signing.pub"
    contents = {
        private: (0o600, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)),
        public: (0o644, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    }
    for path, (mode, content) in contents.items():
        with naming(path):
            folder.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    return private, public


def _content(path: Path) -> bytes:
    with naming(path), path.open("rb") as file:
        content = file.read(_LONGEST_FILE + 1)
    if len(content) > _LONGEST_FILE:
        raise SignatureProblemError(f"{path}: too large for a key or a signature")
    return content


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What the system refuses is said in a sentence that begins with the file."""
    try:
        yield
    except OSError as error:
        raise SignatureProblemError(f"{path}: {error.strerror or error}") from None
