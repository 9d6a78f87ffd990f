"""Turns a matplotlib figure into SVG that belongs to the page: its colours, its font, its ids.

Plots are drawn in stand-in colours (COLOUR["ink"] is #000101) that become CSS variables here, so
that one drawing serves light, dark and print."""

import functools
import hashlib
import html
import io
import re

TOKENS = ("ink", "soft", "line", "band", "paper", "server", "client", "user", "kernel", "payload",
          "head", "up", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "g1", "g2", "g3")
COLOUR = {name: f"#00{i + 1:02x}01" for i, name in enumerate(TOKENS)}
_NAME = {value: name for name, value in COLOUR.items()}

FONT_PX = 12.5

_STYLE = {
    "svg.fonttype": "none", "text.parse_math": False,
    "font.size": FONT_PX, "font.family": "DejaVu Sans",
    "text.color": COLOUR["ink"], "axes.labelcolor": COLOUR["soft"],
    "axes.edgecolor": COLOUR["line"], "axes.facecolor": "none", "figure.facecolor": "none",
    "xtick.color": COLOUR["line"], "ytick.color": COLOUR["line"],
    "xtick.labelcolor": COLOUR["soft"], "ytick.labelcolor": COLOUR["soft"],
    "xtick.labelsize": FONT_PX - 1, "ytick.labelsize": FONT_PX - 1,
    "grid.color": COLOUR["line"], "grid.linewidth": 0.8, "axes.linewidth": 0.8,
    "xtick.major.width": 0.8, "xtick.major.size": 0, "ytick.major.size": 0,
    "xtick.minor.size": 0, "ytick.minor.size": 0, "axes.axisbelow": True,
    "lines.solid_capstyle": "round", "lines.dash_capstyle": "butt",
}


@functools.cache
def drawing():
    """matplotlib, once something is drawn: tables and checks need nothing of it."""
    try:
        import matplotlib.figure
    except ModuleNotFoundError:
        raise SystemExit("reports need matplotlib; on Debian: apt install python3-matplotlib") \
            from None
    import matplotlib.patches
    import matplotlib.ticker
    matplotlib.use("svg")
    matplotlib.rcParams.update(_STYLE)
    return matplotlib


def text_width(text, bold=False):
    """Pixels, with room to spare: the reader's font is not known."""
    return len(text) * (7.5 if bold else 7.1)


def shorten(text, pixels):
    """A plot cannot grow with a name; the table below it has the whole one."""
    room = int(pixels / 7.5)
    return text if len(text) <= room else text[:room - 1] + "…"


def heading(text):
    return text[:1].upper() + text[1:]


def figure(width, height):
    """A figure in CSS pixels: matplotlib's SVG has 72 units to the inch."""
    return drawing().figure.Figure(figsize=(width / 72, height / 72), dpi=72)


def title(fig, left, middle, text):
    """A panel's title, at pixels from the top left corner."""
    width, height = fig.get_size_inches() * 72
    fig.text(left / width, 1 - middle / height, heading(text), weight="semibold", va="center")


def axes(fig, left, top, width, height):
    """Axes at a place in pixels from the top left corner."""
    full_width, full_height = fig.get_size_inches() * 72
    return fig.add_axes((left / full_width, 1 - (top + height) / full_height,
                         width / full_width, height / full_height))


def render(fig, key, name, text):
    """`key` is unique in the page: every id inside is made from it."""
    drawing().rcParams["svg.hashsalt"] = key
    out = io.StringIO()
    fig.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None,
                                             "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg"):]
    view = re.search(r'viewBox="([^"]+)"', svg).group(1)
    body = svg[svg.index(">") + 1:svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "",
                  body, flags=re.S)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href=", "href=")
    body = _unique_ids(body, key)
    body = re.sub(r"#00[0-9a-f]{2}01\b", lambda m: f"var(--{_NAME[m.group()]})", body)
    body = re.sub(r"font: (?:italic )?(?:(\d+) )?([\d.]+)px '[^']*'[^;\"]*", _font, body)
    body = re.sub(r"\n\s*", "\n", body)
    width = view.split()[2]
    return (f'<svg viewBox="{view}" style="max-width:{width}px" role="img" '
            f'aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{html.escape(name)}</title>'
            f'<desc id="{key}-d">{html.escape(text)}</desc>{body}</svg>')


def _font(match):
    weight = f"font-weight:{match.group(1)};" if match.group(1) else ""
    return f"{weight}font-size:{match.group(2)}px"


def _unique_ids(body, key):
    """Two plots of one page must not share the id of a clip path or a marker."""
    mark = "k" + hashlib.sha256(key.encode()).hexdigest()[:6]
    return re.sub(r'( id="| href="#|url\(#)', rf"\1{mark}", body)
