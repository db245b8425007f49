"""``python -m devcluster build``: have the binaries ready before something needs them."""

import argparse
import sys

from devcluster.binaries import PROFILES, BinaryError, ensure, ensure_files
from devcluster.tools import CERT_MANAGER_CRDS, KWOK_STAGES, PROMETHEUS_CRDS, TOOLS, Published

BESIDES: dict[str, tuple[Published, ...]] = {"kwok": (KWOK_STAGES,), "helm": (CERT_MANAGER_CRDS, PROMETHEUS_CRDS)}
"""Files that go with a tool."""


def main() -> int:
    """Build what is asked for and print where each binary is; exit code 1 with one clear message on failure."""
    parser = argparse.ArgumentParser(prog="python -m devcluster", description=__doc__)
    build = parser.add_subparsers(dest="command", required=True).add_parser("build", help="build missing binaries")
    build.add_argument("--profile", choices=sorted(PROFILES), help="every binary of this profile")
    build.add_argument("tools", nargs="*", metavar="tool", help=f"single tools: {', '.join(TOOLS)}")
    arguments = parser.parse_args()
    names = [tool.name for tool in PROFILES[arguments.profile]] if arguments.profile else []
    names += [name for name in arguments.tools if name not in names]
    if not names:
        build.error("nothing to build: name --profile or a tool")
    try:
        for name in names:
            print(f"{name}: {ensure(name)}")
            for files in BESIDES.get(name, ()):
                ensure_files(files)
    except BinaryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
