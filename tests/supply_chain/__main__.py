"""What claimscrub rests on, `make check`: licences that are allowed, and no known vulnerability."""

from __future__ import annotations

import argparse
import os
import sys

from tests.supply_chain.audit import REQUIRED, audit
from tests.supply_chain.licences import check


def main() -> int:
    """Check, or write the list of licences; 0 only if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply_chain", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/licences.md anew, and ask no service")
    write = parser.parse_args().write
    problems = check(write=write)
    for problem in problems:
        print(problem, file=sys.stderr)
    if write:
        return bool(problems)
    required = os.environ.get(REQUIRED) == "required"
    said, failed = audit(required=required).said(required=required)
    print(f"pip-audit: {said}", file=sys.stderr if failed else sys.stdout)
    return bool(problems) or failed


if __name__ == "__main__":
    sys.exit(main())
