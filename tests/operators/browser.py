"""A browser driven over its DevTools protocol: what a person at the screen does, and sees."""

import asyncio
import base64
import json
import time
import urllib.request

from tornado.websocket import websocket_connect

# In every page. Flower's messages vanish after a while; here they are kept, and let the mouse through.
HELPERS = """
window.text = element => element.textContent.trim().replace(/\\s+/g, ' ');
window.texts = row => [...row.cells].map(text);
window.messages = [];
document.addEventListener('DOMContentLoaded', () => {
    const container = document.querySelector('#toast-container');
    if (!container) return;
    new MutationObserver(changes => changes.flatMap(change => [...change.addedNodes])
        .forEach(message => {
            const error = message.className.includes('text-bg-danger') ? 'error: ' : '';
            message.style.pointerEvents = 'none';
            window.messages.push(error + message.textContent.trim());
        })).observe(container, {childList: true});
});
"""


class Browser:
    """One page of a browser that listens to the DevTools protocol at this port."""

    def __init__(self, port):
        self.loop = asyncio.new_event_loop()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self.number = 0
        self.socket = self.wait(self.connected(page["webSocketDebuggerUrl"]))
        for domain in ["Page", "Runtime"]:
            self.call(domain + ".enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=HELPERS)
        self.resize(900)

    def wait(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def connected(self, url):
        # Pictures are large.
        return await websocket_connect(url, max_message_size=1 << 28)

    def call(self, method, **params):
        """Gives a command, and what comes of it."""
        return self.wait(self.called(method, params))

    async def called(self, method, params):
        self.number += 1
        number = self.number
        await self.socket.write_message(
            json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(await self.socket.read_message())
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]

    def resize(self, height):
        self.call("Emulation.setDeviceMetricsOverride", width=1400, height=height,
                  deviceScaleFactor=1, mobile=False)

    def js(self, expression):
        """The value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                         awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def until(self, expression, seconds=60):
        """Waits until an expression in the page is true, or an element that is there."""
        end = time.monotonic() + seconds
        # By its value an element is an empty object.
        look = f"(seen => seen instanceof Node || seen)({expression})"
        while not (value := self.js(look)):
            if time.monotonic() > end:
                raise RuntimeError(f"never true: {expression}; the page says\n{self.text()}")
            time.sleep(0.05)
        return value

    def open(self, url):
        """Goes there, and waits until all of it is loaded."""
        self.js("window.left = true")
        told = self.call("Page.navigate", url=url)
        if told.get("errorText"):
            raise RuntimeError(f"{url}: {told['errorText']}")
        self.until("!window.left && document.readyState === 'complete'")

    def text(self):
        """All that the page shows."""
        return self.js("document.body.innerText")

    def click(self, selector):
        """Clicks with the mouse on what the selector names."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        # It may move while something unfolds.
        still = "null"
        while True:
            place = self.js(f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2, box.width];
            }})()""")
            if place == still and place[2] > 0:
                break
            still = place
            time.sleep(0.05)
        where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def fill(self, selector, text):
        """Types into a field, whatever stood there."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.js(f"document.querySelector({json.dumps(selector)}).value = ''; "
                f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def told(self):
        """What Flower said to the last click, an error marked as one."""
        return self.until("window.messages?.shift()")

    def rows(self, selector):
        """The texts of a table's cells, row by row."""
        return self.js(f"""
            [...document.querySelectorAll({json.dumps(selector + ' tbody tr')})].map(texts)""")

    def facts(self, selector):
        """What the tables and lists in there say, hidden ones too, as names and values. Of a table
        with a head, its first row."""
        return self.js(f"""(() => {{
            const place = document.querySelector({json.dumps(selector)});
            const tables = [...place.querySelectorAll('table')].flatMap(table => {{
                const caption = table.caption ? text(table.caption) + ': ' : '';
                const head = [...table.querySelectorAll('thead th')].map(text);
                const rows = [...table.tBodies[0].rows].map(texts);
                const facts = head.length ? head.map((name, at) => [name, rows[0]?.[at]]) : rows;
                return facts.map(([name, value]) => [caption + name, value ?? '']);
            }});
            const list = [...place.querySelectorAll('dt')]
                .map(name => [text(name), text(name.nextElementSibling)]);
            return [...tables, ...list];
        }})()""")

    def picture(self, file):
        """Keeps what the whole page looks like."""
        self.resize(min(max(self.js("document.documentElement.scrollHeight"), 900), 4000))
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        with open(file, "wb") as out:
            out.write(base64.b64decode(picture))
        self.resize(900)
