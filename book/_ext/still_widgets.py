"""Leave the state of widgets out of pages: they show still twins instead.

MyST-NB writes what every widget of a notebook holds into the page, pictures
included, even where `remove-output` leaves the widget itself out.
"""

from typing import Any

from myst_nb.core.render import WIDGET_STATE_MIMETYPE


def drop_state(
    app: object, page: str, template: str, context: Any, tree: object
) -> None:
    """Take the script with the widgets' state off the list of a page."""
    context["script_files"][:] = [
        script
        for script in context["script_files"]
        if script.attributes.get("type") != WIDGET_STATE_MIMETYPE
    ]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, to be called after MyST-NB."""
    app.connect("html-page-context", drop_state, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
