"""HTML as calls: text is escaped unless it is Raw, so that no name in a run can break the page."""

import html


class Raw(str):
    """HTML already."""


def el(tag, *children, **attributes):
    """el("p", "a < b", class_="note"): children are text, Raw, None or lists of these."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items() if value is not None)
    return Raw(f"<{tag}{written}>{text(children)}</{tag}>")


def text(value):
    if value is None:
        return ""
    if isinstance(value, Raw):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(text(item) for item in value)
    return html.escape(str(value), quote=False)


def command(line):
    """A command that breaks between words and not at the hyphens of its options."""
    return el("code", [[el("span", word), " "] for word in line.split(" ")])


def table(caption, header, rows, row_header=True):
    """A table that turns into one card per row on a phone. The roles keep it a table for screen
    readers even then."""
    heads = [el("th", name, scope="col", role="columnheader") for name in header]
    body = []
    for row in rows:
        cells = []
        for i, (name, cell) in enumerate(zip(header, row)):
            if i == 0 and row_header:
                cells.append(el("th", cell, scope="row", role="rowheader"))
            else:
                cells.append(el("td", el("span", cell), role="cell", data_label=name))
        body.append(el("tr", cells, role="row"))
    return el("table", el("caption", caption) if caption else None,
              el("thead", el("tr", heads, role="row"), role="rowgroup"),
              el("tbody", body, role="rowgroup"), role="table")
