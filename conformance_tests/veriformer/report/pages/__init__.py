"""Pages: reports as one HTML file each, which needs no network and no script.

``base.html.j2`` is the frame, ``style.css`` its looks, ``macros.html.j2`` draws numbers. A page extends the frame and is made by
``render``. jinja2 is imported when a page is asked for: nothing else here needs it.
"""

from typing import Any

from veriformer.report.pages.heat import Cell, HeatMap, heat_map

__all__ = ["Cell", "HeatMap", "heat_map", "render"]


def render(template: str, **context: Any) -> str:
    """The page that ``template`` makes of ``context``; every text in it is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from veriformer import __version__

    environment = Environment(
        loader=PackageLoader("veriformer.report", "pages"),
        autoescape=True,  # templates are named .j2, which jinja2 would not escape by itself
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(version=__version__, **context)
