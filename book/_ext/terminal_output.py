"""Show output as a terminal would: a carriage return rewrites its line.

Progress bars rewrite one line many times. Without this, a page shows every
state of the bar.
"""

from docutils import nodes
from sphinx.application import Sphinx


def rewrite_lines(text: str) -> str:
    """Keep of each line only what stands after its last carriage return."""
    return "\n".join(
        line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")
    )


def rewrite_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Apply `rewrite_lines` to every output of a page."""
    for block in doctree.findall(nodes.literal_block):
        if "\r" in block.astext():
            block.children = [nodes.Text(rewrite_lines(block.astext()))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", rewrite_outputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
