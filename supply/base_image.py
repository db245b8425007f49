"""``python -m supply.base_image``: the base image by its digest, so that the same is built until somebody changes it.

`--record` asks a container engine for the digest that a tag has now, and writes it to the file `base-image`, which is
meant to be committed. Without it, the image that is to be used is printed: what was given, else the recorded one. A
tag without a digest is refused, because tomorrow it is another image.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FILE: Final = Path("base-image")
TAG: Final = "python:3.11-slim-bookworm"
"""What the image is based on."""
PULL_SECONDS: Final = 600
_PINNED: Final = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


class BaseImageError(Exception):
    """There is no base image to use; the text says what to do."""


def chosen(given: str, recorded: Path, *, allow_tag: bool) -> str:
    """The base image to build with. Raises BaseImageError."""
    image = given or (recorded.read_text().strip() if recorded.exists() else "")
    if _PINNED.fullmatch(image):
        return image
    if allow_tag:
        return image or TAG
    found = f"{image!r} has no digest" if image else f"no base image is given, and there is no file {recorded}"
    raise BaseImageError(
        f"{found}: run `make base-image` once, which asks the container engine for the digest of {TAG} and records it, "
        f"or give PYTHON_IMAGE={TAG}@sha256:...; ALLOW_TAG=1 builds from the tag, whatever it is today"
    )


def resolve(engine: str, tag: str) -> str:
    """The tag with the digest that it has now, by pulling it. Raises BaseImageError."""
    name = tag.partition("@")[0]
    _run([engine, "pull", "--quiet", tag])
    found = json.loads(_run([engine, "image", "inspect", "--format", "{{json .RepoDigests}}", tag])) or []
    digests = sorted({each.rpartition("@")[2] for each in found if _PINNED.fullmatch(each)})
    if len(digests) != 1:
        raise BaseImageError(f"{engine} knows {len(digests)} digests of {tag}: {found}; give PYTHON_IMAGE with one")
    return f"{name}@{digests[0]}"


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PULL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaseImageError(f"`{' '.join(command)}` failed: {error}") from error
    if done.returncode:
        raise BaseImageError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1, with one line, when there is no base image to use."""
    parser = argparse.ArgumentParser(prog="supply.base_image", description=__doc__)
    parser.add_argument("--engine", default="docker", help="docker or podman")
    parser.add_argument("--image", default="", help="base image, with its digest")
    parser.add_argument("--record", action="store_true", help="ask for the digest and write the file")
    parser.add_argument("--allow-tag", action="store_true", help="accept a tag without a digest")
    options = parser.parse_args(arguments)
    try:
        if options.record:
            image = resolve(options.engine, options.image or TAG)
            FILE.write_text(f"{image}\n")
        else:
            image = chosen(options.image, FILE, allow_tag=options.allow_tag)
    except BaseImageError as error:
        print(error, file=sys.stderr)
        return 1
    print(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
