"""Show output as a terminal would: a carriage return rewrites its line.

Progress bars rewrite one line many times. MyST-NB means to keep only the last
state (`nb_merge_streams`), but it ends each piece of a stream with a new line
before it looks for carriage returns, so a page shows every state of a bar.
Here the pieces are joined as they were written before MyST-NB gets them.
"""

from typing import Any

from myst_nb.core import render
from myst_nb.core.utils import coalesce_streams


def join_streams(outputs: list[Any]) -> list[Any]:
    """Join pieces of the same stream that follow each other."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.get("name") and output["name"] == last.get("name"):
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def setup(app: object) -> dict[str, bool]:
    """Register with Sphinx."""
    render.coalesce_streams = lambda pieces: coalesce_streams(
        join_streams(pieces)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
