"""Plays a dialogue with a program on a terminal of its own: waits for texts on the screen, presses keys."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

ROWS, COLUMNS = 40, 140

# What moves the cursor or clears; colours and switches are passed over.
CODE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>78]|\x1b\][^\x07]*\x07")


class Screen:
    """As much of a terminal as the programs under test use."""

    def __init__(self):
        self.clear()
        self.raw = ""

    def clear(self):
        self.cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.row = self.column = 0

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def feed(self, text):
        self.raw += text
        while self.raw:
            code = CODE.match(self.raw)
            if code:
                self.obey(code.group(1) or "", code.group(2) or "")
                self.raw = self.raw[code.end() :]
            elif self.raw[0] == "\x1b" and len(self.raw) < 32:
                return  # the rest of it is still to come
            else:
                self.put(self.raw[0])
                self.raw = self.raw[1:]

    def obey(self, numbers, letter):
        if letter == "H":
            row, column = ([int(n or 1) for n in numbers.split(";")] + [1, 1])[:2] if numbers else (1, 1)
            self.row, self.column = min(row, ROWS) - 1, min(column, COLUMNS) - 1
        elif letter == "J":
            self.clear()
        elif letter == "K":
            start = 0 if numbers == "2" else self.column
            self.cells[self.row][start:] = [" "] * (COLUMNS - start)

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            if self.row == ROWS:
                self.cells = self.cells[1:] + [[" "] * COLUMNS]
                self.row -= 1
        elif character >= " " and self.column < COLUMNS:
            self.cells[self.row][self.column] = character
            self.column += 1


def play(script):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(script["command"][0], script["command"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen, seen = Screen(), []
    ended = False

    def watch(until):
        nonlocal ended
        deadline = time.monotonic() + script["within"]
        while not until() and not ended:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                sys.exit("this did not come to be on:\n" + screen.text())
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    data = os.read(terminal, 1 << 16)
                except OSError:
                    data = b""
                ended = not data
                screen.feed(data.decode(errors="replace"))

    for step in script["steps"]:
        watch(lambda: all(text in screen.text() for text in step["see"]))
        missing = [text for text in step["see"] if text not in screen.text()]
        if missing:
            sys.exit(f"it ended without {missing}:\n{screen.text()}")
        seen.append(screen.text())
        if step["run"]:
            subprocess.run(step["run"], check=True, stdout=subprocess.DEVNULL)
        os.write(terminal, step["press"].encode())
    watch(lambda: False)
    _, status = os.waitpid(pid, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "screens": seen + [screen.text()]}


print(json.dumps(play(json.loads(sys.argv[1]))))
