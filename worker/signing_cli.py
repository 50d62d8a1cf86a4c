"""The commands about signed rule sets: rules verify, sign and keys."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

import rules
from rules import RuleSet
from worker.folder import write_durably
from worker.rulebook import load_rulebook, parts_of
from worker.settings import PREFIX, Settings, load_settings
from worker.signing import RulesMismatchError, Signature, make_keys, naming, read_private_key, sign
from worker.terminal import FLAGGED, clear_errors, say

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("verify")
@click.option(
    "--signature", type=_FILE, metavar="FILE", help=f"The signature; else that of {PREFIX}RULES_SIGNATURE_FILE."
)
@click.option(
    "--public-key", type=_FILE, metavar="FILE", help=f"The keys; else those of {PREFIX}RULES_PUBLIC_KEY_FILE."
)
@click.option("--expect", metavar="DIGEST", help="The digest that the rule set should have.")
def verify(signature: Path | None, public_key: Path | None, expect: str | None) -> None:
    """Show what the rule set is, and whether it is the one that was signed.

    Where neither options nor settings name a signature, only the digests are shown.

    Exit code: 0 as signed and expected, or nothing was demanded; 1 something differs; 3 a file can't be used.
    """
    with clear_errors():
        given = {"rules_signature_file": signature, "rules_public_key_file": public_key}
        settings = load_settings().model_copy(update={name: path for name, path in given.items() if path is not None})
        if settings.rules_signature_file is not None and settings.rules_public_key_file is None:
            raise click.UsageError("--signature needs --public-key")
        parts = parts_of(settings)
        click.echo(f"version {rules.__version__}\ndigest {parts.digest}\n{parts.statement}", nl=False)
        try:
            ruleset = load_rulebook(settings)
        except RulesMismatchError as error:
            say(f"claimscrub: {error}")
            sys.exit(FLAGGED)
        click.echo(f"rules {len(ruleset.rules)}\noverlays {len(ruleset.contracts.all)}")
        click.echo(_signed(settings, ruleset))
        if expect is not None and expect != ruleset.digest:
            say(f"claimscrub: the digest is {ruleset.digest}, not {expect} as expected")
            sys.exit(FLAGGED)


def _signed(settings: Settings, ruleset: RuleSet) -> str:
    if settings.rules_signature_file is None:
        return "signature none demanded"
    return f"signature good: key {ruleset.signed_by}, of {Signature.read(settings.rules_signature_file).signed_at}"


@click.command("sign")
@click.option("--key", "key_file", type=_FILE, required=True, metavar="FILE", help="The private key (Ed25519, PEM).")
@click.option("--out", type=_FILE, required=True, metavar="FILE", help="The signature.")
def sign_rules(key_file: Path, out: Path) -> None:
    """Sign the installed rule set, with the reference data and the contract overlays that the settings name.

    The password of an encrypted key stands in CLAIMSCRUB_SIGNING_KEY_PASSWORD, or in the file that
    CLAIMSCRUB_SIGNING_KEY_PASSWORD_FILE names.
    """
    with clear_errors():
        settings = load_settings()
        key = read_private_key(key_file, settings.signing_key_password.get_secret_value())
        parts = parts_of(settings)
        # What does not load is not signed.
        ruleset = RuleSet.load(reference=settings.reference_folder, contracts=settings.contracts_folder)
        if ruleset.digest != parts.digest:
            raise RulesMismatchError("the rules changed while they were read; sign again when they are complete")
        signature = sign(ruleset.version, parts, key, datetime.now(UTC))
        with naming(out):
            write_durably(out, signature.model_dump_json(indent=2).encode() + b"\n")
        click.echo(f"{ruleset.digest} signed with the key {signature.key_id}: {out}")


@click.command("keys")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def keys(folder: Path) -> None:
    """Make a pair of keys: DIR/rules-signing.key, which signs, and DIR/rules-signing.pub, which checks.

    The private one is encrypted if CLAIMSCRUB_SIGNING_KEY_PASSWORD is set.
    """
    with clear_errors():
        for path in make_keys(folder, load_settings().signing_key_password.get_secret_value()):
            click.echo(str(path))
