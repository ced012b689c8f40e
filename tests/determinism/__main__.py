"""``python -m tests.determinism``: make the golden digests again, show what changed, and write the file.

Outputs of targets that this machine cannot run stay as they are.
"""

from __future__ import annotations

import argparse
import sys

from tests.determinism.digests import FILE, NETWORKS, network_digests, store, stored


def main() -> int:
    """Print one line per difference; with --check write nothing and return 1 if there is any."""
    parser = argparse.ArgumentParser(prog="python -m tests.determinism", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only show the differences")
    parser.add_argument("--network", action="append", choices=sorted(NETWORKS))
    arguments = parser.parse_args()
    before = stored()
    after = dict(before)
    for name in arguments.network or sorted(NETWORKS):
        print(name, file=sys.stderr)
        after.update(network_digests(name))
    changed = [name for name in sorted(after) if before.get(name) != after[name]]
    for name in changed:
        print(f"- {before.get(name, 'absent')}  {name}\n+ {after[name]}  {name}")
    print(f"{len(changed)} of {len(after)} digests differ from {FILE.name}")
    if arguments.check:
        return 1 if changed else 0
    store(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
