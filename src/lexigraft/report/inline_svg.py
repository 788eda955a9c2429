"""A figure's SVG inside a page: ids of its own, and colours that follow the page's."""

import re

from lexigraft.report.drawing import Drawing

# What is drawn black or as a grid takes the page's colours, which a dark page turns round.
PAGE_COLOURS = {"#000000": "currentColor", "#e6e6e6": "var(--grid)"}
IDS = re.compile(r'(\bid="|href="#|url\(#)')
NARROWEST = 0.85  # of the size on paper; a narrower screen scrolls


def inline_svg(drawing: Drawing, file: str) -> str:
    """The `<svg>` element of its file's text; ids, those of the tips too, begin with the figure's name."""
    svg = file[file.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = IDS.sub(lambda found: f"{found[1]}{drawing.name}-", svg)
    for colour, of_page in PAGE_COLOURS.items():
        svg = svg.replace(f": {colour}", f": {of_page}")
    size = re.match(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', svg, flags=re.DOTALL)
    assert size is not None, "matplotlib writes a view box"
    width = float(size[1])
    style = f"min-width: {NARROWEST * width:.0f}px; max-width: {1.33 * width:.0f}px"
    head = f'<svg viewBox="0 0 {size[1]} {size[2]}" xmlns:xlink="http://www.w3.org/1999/xlink" role="img"'
    return f'{head} style="{style}"{svg[svg.index(">") :].rstrip()}'


def tips_of(drawing: Drawing) -> dict[str, str]:
    """What is shown of each mark, by its id in the page."""
    return {f"{drawing.name}-{gid}": text for gid, text in drawing.tips.items()}
