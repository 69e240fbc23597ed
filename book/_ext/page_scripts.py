"""Leave out of pages the scripts that they have no use for.

MyST-NB writes what every widget of a notebook holds into the page, pictures
included, even where `remove-output` leaves the widget itself out; pages show
still twins instead. Jupyter Book loads Thebe on every page, and defines its
constants twice, though no page offers to run cells with it.
"""

from typing import Any

from myst_nb.core.render import WIDGET_STATE_MIMETYPE


def is_used(script: Any) -> bool:
    """Whether a page needs a script, one of Sphinx's list for the page."""
    if script.attributes.get("type") == WIDGET_STATE_MIMETYPE:
        return False
    source = f"{script.filename or ''} {script.attributes.get('body') or ''}"
    return "thebe" not in source.lower()


def drop_unused(
    app: object, page: str, template: str, context: Any, tree: object
) -> None:
    """Take the unused scripts off the list of a page."""
    context["script_files"][:] = filter(is_used, context["script_files"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, to be called after MyST-NB."""
    app.connect("html-page-context", drop_unused, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
