"""The digest of a rule set: what it is over, and that nothing passes by it."""

from __future__ import annotations

from hashlib import sha256
from itertools import permutations
from pathlib import Path

import pytest

from rules.engine.files import PartDigests, part_digests
from rules.engine.policy import ReferenceDataError


def _written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_the_digest_is_as_the_guide_says(tmp_path: Path) -> None:
    """Anyone can compute it: names and contents with their lengths, ordered by name; then a line for each part."""
    package = _written(tmp_path / "a", {"b.py": b"1\r\n", "a/c.csv": b"", "__pycache__/b.pyc": b"x", ".hidden": b"x"})
    contracts = _written(
        tmp_path / "c", {"spine.yaml": b"name: S", "notes.txt": b"not read", "sub/a.yaml": b"nor this"}
    )
    of_package = sha256(b"".join(len(each).to_bytes(8) + each for each in (b"a/c.csv", b"", b"b.py", b"1\r\n")))
    of_contracts = sha256(b"".join(len(each).to_bytes(8) + each for each in (b"spine.yaml", b"name: S")))
    statement = (
        f"package sha256:{of_package.hexdigest()}\nreference none\ncontracts sha256:{of_contracts.hexdigest()}\n"
    )
    found = part_digests(package, None, contracts)

    assert found.statement == statement
    assert found.digest == "sha256:" + sha256(b"claimscrub rule set\n" + statement.encode()).hexdigest()


def test_nothing_passes_from_name_to_content(tmp_path: Path) -> None:
    """Files that only look the same when written one after the other are other rule sets."""
    made = (
        {"a.yaml": b"b.yaml\0", "c.yaml": b""},
        {"a.yaml": b"", "b.yaml": b"", "c.yaml": b""},
        {"a.yaml": b"\0b.yaml", "c.yaml": b""},
        {"a.yamlb.yaml": b"", "c.yaml": b""},
    )
    folders = [_written(tmp_path / str(number), files) for number, files in enumerate(made)]

    for digests in (
        {part_digests(folder, None, None).digest for folder in folders},
        {part_digests(folders[0], None, folder).digest for folder in folders},
    ):
        assert len(digests) == len(made)


def test_nothing_passes_from_part_to_part() -> None:
    """The same files as another part are another rule set."""
    parts = ("sha256:a", "sha256:b", "none")

    assert len({PartDigests(*each).digest for each in permutations(parts)}) == 6


def test_links_are_followed(tmp_path: Path) -> None:
    """A linked file or folder counts as what it leads to, since it is read so."""
    real = _written(tmp_path / "real", {"a/b.py": b"1", "c.py": b"2"})
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a").symlink_to(real / "a")
    (linked / "c.py").symlink_to(real / "c.py")
    before = part_digests(linked, None, None)

    assert before == part_digests(real, None, None)
    (real / "a" / "b.py").write_bytes(b"3")
    assert part_digests(linked, None, None) != before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It is no part that may be left out."""
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ReferenceDataError, match=r"gone\.py: No such file"):
        part_digests(tmp_path, None, None)
