"""Downloads of the official files, which torchvision fetches, checks and unpacks."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from csae.data.names import SAMPLES
from csae.data.official import NOTE, DataUnavailableError, write_note

# No network, a read-only folder, a wrong checksum, an answer cut short, a damaged archive.
_DOWNLOAD_ERRORS = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    http.client.HTTPException,
    zipfile.BadZipFile,
    zlib.error,
)


def download_files(
    name: str, folder: Path, parts: dict[str, tuple[str, str]], download: bool | Literal["force"]
) -> None:
    """Let torchvision fetch, check and unpack the files of a data set."""
    everything = [file for part in parts.values() for file in part]
    missing = [file for file in everything if not os.path.isfile(folder / file)]
    if download:
        try:
            _fetch(name, folder, replace_present=download == "force")
            return
        except _DOWNLOAD_ERRORS as error:
            cause: Exception | None = error
            reason = "could not be downloaded"
    else:
        cause, reason = None, "are missing and download is off"
    two_ways = [
        f"put the files into {folder}, or name a folder that holds them with root=... or the "
        "environment variable CSAE_DATA"
    ]
    if name in SAMPLES:
        two_ways.insert(0, "use the shipped sample: sample=True, or --sample on the command line")
    else:
        two_ways.insert(0, "repeat this on a machine with a network; the files stay for later")
    raise DataUnavailableError(
        f"The files of {name} {reason}: {', '.join(missing)}.\n"
        f"Two ways out:\n  1. {two_ways[0]};\n  2. {two_ways[1]}."
        + (f"\nCause: {type(cause).__name__}: {str(cause).strip()}" if cause else "")
    ) from cause


def _fetch(name: str, folder: Path, replace_present: bool) -> None:
    """Fetch into a folder of its own, then move the files to where they belong.

    So a failed download costs no file that is there, and nothing else that lies there, such as the
    cache of an older torchvision, is taken for the files.
    """
    # Not at the top: it takes seconds to import.
    from torchvision import datasets

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as temporary:
        fresh = Path(temporary)
        if name == "mnist":
            datasets.MNIST(fresh, download=True)
        elif name == "fashion-mnist":
            datasets.FashionMNIST(fresh, download=True)
        else:
            datasets.EMNIST(fresh, name.removeprefix("emnist-"), download=True)
        unpacked = sorted(fresh.glob("*/raw/*-ubyte"))
        if name.startswith("emnist"):
            # torchvision has compared the archive with the official checksum just now.
            write_note(
                folder / "EMNIST" / "raw" / NOTE,
                {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in unpacked},
            )
        for path in unpacked:
            target = folder / path.relative_to(fresh)
            if replace_present or not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
