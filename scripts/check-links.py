"""check-links.py FOLDER: each link between the pages of a book leads to a file, and to a place in it that there is."""

import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places that links may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def wrong(book: pathlib.Path) -> list[str]:
    """Each link that leads nowhere, with its page."""
    # One page that holds all others has their places twice, and the page of errors is for a server's root.
    names = [path for path in book.rglob("*.html") if path.name not in ("print.html", "404.html", "toc.html")]
    pages = {path.resolve(): Page(path.read_text()) for path in names}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not there.exists() or (place and there in pages and place not in pages[there].places):
                found.append(f"{path.relative_to(book.resolve())}: {link}")
    return found


def main() -> None:
    book = pathlib.Path(sys.argv[1])
    found = wrong(book)
    for line in found:
        print(f"error: a link that leads nowhere: {line}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{book}: every link leads somewhere")


if __name__ == "__main__":
    main()
