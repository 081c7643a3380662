#!/usr/bin/env python3
"""Uses the pages of `lift plot --figure map` in a headless Chromium, as a person would, and takes screenshots.

usage: check_map.py [--lift LIFT] [--shots FOLDER] [--rows N] [--method tsne]

LIFT is the program (default: target/release/lift). Two collections are made: 88 drawn clips with hostile ids and labels (markup,
quotes, right-to-left text), as one file; and N rows (default 50,000) that share the bundled clips, as a folder. In both, the page
is loaded, a point is clicked, its neighbours are compared with the answers of `lift search`, clips are filtered, an area is
selected and saved, and `lift search --list` reads the list. The page is also used by keyboard, at the width of a phone, and in the
dark. It must ask nothing of the network.

It needs Python 3.9, Chromium and its driver (Debian: chromium, chromium-driver); without them it says "skipped" and ends
with 0. Screenshots are kept where --shots says, so that someone can look at them.
"""

import argparse
import array
import base64
import csv
import json
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTILE = [
    "<img src=x onerror=hacked=1>",
    "quotes ' \" & ampersand",
    "<script>hacked=1<!--",
    "\u05e9\u05dc\u05d5\u05dd \u202eright to left",
    "comma, semicolon; tab",
    "{{data}} ${hacked=1} `hacked=1`",
]


class Browser:
    """A session of the driver, by the WebDriver protocol."""

    def __init__(self, chromium, driver, downloads, phone=False):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.address = f"http://127.0.0.1:{port}"
        options = {
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,1000"],
            "prefs": {"download.default_directory": str(downloads), "download.prompt_for_download": False},
        }
        if phone:
            options["mobileEmulation"] = {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}}
        for _ in range(100):
            try:
                self.ask("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self.address += f"/session/{self.ask('POST', '/session', wanted)['sessionId']}"
        self.ask("POST", "/timeouts", {"script": 120_000, "pageLoad": 120_000})

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.address + path, method=method, headers={"Content-Type": "application/json"})
        data = None if method != "POST" else json.dumps(body or {}).encode()
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, data, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()[:600]}") from error

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def later(self, script, *arguments):
        return self.ask("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def open(self, page):
        begun = time.perf_counter()
        self.ask("POST", "/url", {"url": page.as_uri()})
        self.frame()
        return time.perf_counter() - begun

    def frame(self):
        """Waits until what was asked for is drawn."""
        self.later("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))")

    def pointer(self, *steps):
        moves = []
        for step in steps:
            if isinstance(step, str):
                moves.append({"type": step, "button": 0})
            else:
                moves.append({"type": "pointerMove", "duration": 20, "x": round(step[0]), "y": round(step[1])})
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        self.ask("POST", "/actions", {"actions": [source]})
        self.frame()

    def type(self, keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})
        self.frame()

    def click(self, element):
        self.run("document.getElementById(arguments[0]).click()", element)
        self.frame()

    def text(self, element):
        return self.run("return document.getElementById(arguments[0]).textContent", element)

    def dark(self, on):
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})
        self.frame()

    def shot(self, path):
        time.sleep(0.4)
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))
        print(f"  look at {path}")

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


def lift(program, folder, *arguments, codes=(0,)):
    done = subprocess.run([program, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in codes, f"lift {arguments}: {done.returncode}\n{done.stderr}"
    return done


def small(program, folder):
    """88 drawn clips, some with hostile names and labels, as one file."""
    lift(program, folder, "synth", "-o", "set", "--groups", 9, "--per-class", 4, "--valid-per-class", 1, "--size", 160)
    (folder / "clips").mkdir()
    clips = sorted((folder / "set/clips").iterdir())[:88]
    names = HOSTILE + [clip.stem for clip in clips[len(HOSTILE) :]]
    for clip, name in zip(clips, names):
        shutil.copy(clip, folder / "clips" / f"{name}{clip.suffix}")
    verbs = {}
    for kind in ("train", "validation"):
        with open(folder / f"set/cia-synth-{kind}.csv", encoding="utf-8", newline="") as table:
            verbs.update({row["id"]: row["verb"] for row in csv.DictReader(table)})
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as table:
        lines = csv.writer(table)
        lines.writerow(["id", "label"])
        for clip, name in zip(clips, names):
            lines.writerow([name, f"label of {name}" if name in HOSTILE else verbs[clip.stem]])
    lift(program, folder, "embed", "--model", "mini", "clips", "-o", "all.parquet", "--parts", "concat,reversed")
    arguments = ["plot", "all.parquet", "--figure", "map", "--by", "odd", "--labels", "labels.csv", "-o", "map.html"]
    lift(program, folder, *arguments, "--title", HOSTILE[2])
    return folder / "map.html"


def npy(shape, numbers):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + numbers.tobytes()


def large(program, folder, rows, method):
    """Many rows that share the bundled clips, as a folder."""
    width, groups = 32, 40
    dice = random.Random(5)
    centres = [[dice.gauss(0, 1) for _ in range(width)] for _ in range(groups)]
    of = [dice.randrange(groups) for _ in range(rows)]
    parts = {}
    for part in ("concat", "reversed"):
        numbers = array.array("f")
        for group in of:
            numbers.extend(c + dice.gauss(0, 0.5) for c in centres[group])
        parts[part] = npy((rows, width), numbers)
    with zipfile.ZipFile(folder / "all.npz", "w") as file:
        for part, content in parts.items():
            file.writestr(f"{part}.npy", content)
    clips = sorted((ROOT / "assets/clips").iterdir())
    with open(folder / "all.npz.rows.csv", "w", encoding="utf-8", newline="") as table:
        lines = csv.writer(table)
        lines.writerow("index,row,id,path,status,frames,fps,duration,start,end,stage,error".split(","))
        for row in range(rows):
            path = clips[row % len(clips)]
            lines.writerow([row, row, f"clip {row:06}", path, "ok", 16, 25, 2.0, "", "", "", ""])
    begun = time.perf_counter()
    lift(program, folder, "plot", "all.npz", "--figure", "map", "-o", "map/", "--clusters", groups, "--method", method)
    print(f"{rows} rows of {width} numbers: the page took {time.perf_counter() - begun:.1f} s")
    return folder / "map/index.html"


def search(program, folder, collection, row_id, *more):
    answer = folder / "answer.jsonl"
    lift(program, folder, "search", collection, "--id", row_id, "--top", 8, "-o", answer, "--overwrite", *more)
    return [json.loads(line)["id"] for line in answer.read_text(encoding="utf-8").splitlines()]


def shown(browser, kind):
    script = "return [...document.querySelectorAll(`[data-kind=${arguments[0]}] li`)].map((item) => data.ids[item.dataset.row])"
    return browser.run(script, kind)


def place(browser, row):
    return browser.run("return document.getElementById('plane').placeOf(arguments[0])", row)


def use(browser, page, program, collection, rows, downloads, shots, name):
    folder = page.parent if page.name != "index.html" else page.parent.parent
    seconds = browser.open(page)
    count = browser.run("return data.ids.length")
    assert count == rows, f"{count} clips, not {rows}"
    size = page.stat().st_size / 1e6
    print(f"{name}: {count} clips, a page of {size:.1f} MB, loaded and drawn in {seconds:.1f} s")
    browser.dark(False)
    browser.shot(shots / f"{name}.png")

    # A click shows the clip, and its neighbours are those of lift search.
    row_ids = browser.run("return data.ids")
    tried = [0, 2, 50] if rows < 1000 else [rows // 3]
    for row in tried:
        browser.run("const plane = document.getElementById('plane'); plane.focus(); document.getElementById('whole').click()")
        browser.run("document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input'))")
        # A point that others cover is clicked where it is alone: close up.
        for _ in range(60):
            alone = browser.run(
                """const plane = document.getElementById("plane"), [x, y] = plane.placeOf(arguments[0]);
                const apart = data.ids.map((_, row) => { const [a, b] = plane.placeOf(row); return Math.hypot(a - x, b - y); });
                apart[arguments[0]] = Infinity;
                return Math.min(...apart.slice(0, 100000)) > 3;""",
                row,
            ) if rows < 1000 else browser.run(
                """const plane = document.getElementById("plane"), [x, y] = plane.placeOf(arguments[0]);
                for (let row = 0; row < data.ids.length; row += 1) {
                  const [a, b] = plane.placeOf(row);
                  if (row !== arguments[0] && Math.hypot(a - x, b - y) < 3) return false;
                }
                return true;""",
                row,
            )
            if alone:
                break
            # Zooming by the wheel keeps the point under the pointer where it is.
            x, y = place(browser, row)
            browser.run(
                """document.getElementById("plane").dispatchEvent(new WheelEvent("wheel",
                { clientX: arguments[0], clientY: arguments[1], deltaY: -120, cancelable: true }))""",
                x,
                y,
            )
            browser.frame()
        browser.pointer(place(browser, row), "pointerDown", "pointerUp")
        assert browser.text("id") == row_ids[row], f"clicked {row_ids[row]!r}, shown {browser.text('id')!r}"
        if row_ids[row].startswith(("<", "quotes", "\u05e9")):
            continue
        wanted = {"look": ["--by", "even"], "motion": ["--by", "odd"], "opposite": ["--by", "odd", "--opposite"]}
        for kind, flags in wanted.items():
            found, answer = shown(browser, kind), search(program, folder, collection, row_ids[row], *flags)
            assert found == answer, f"{kind} of {row_ids[row]}:\n{found}\n{answer}"
    # The strip of the clip plays.
    browser.later("setTimeout(arguments[0], 1500)")
    frames = browser.later(
        """const seen = new Set(), done = arguments[0], look = () => seen.add(document.getElementById("scrub").value);
        const timer = setInterval(look, 60); setTimeout(() => { clearInterval(timer); done(seen.size); }, 1500);"""
    )
    assert frames > 2, f"{frames} frames were shown in 1.5 s"
    colours = browser.run(
        """const canvas = document.querySelector("#screen canvas");
        const { data: bytes } = canvas.getContext("2d", {}).getImageData(0, 0, canvas.width, canvas.height);
        return new Set(bytes).size;"""
    ) if page.name != "index.html" else 99
    assert colours > 8, "the filmstrip is blank"
    browser.shot(shots / f"{name}-clip.png")

    # By keyboard.
    before = browser.text("id")
    browser.run("document.getElementById('plane').focus()")
    reached = set()
    for key in ("\ue014", "\ue013", "\ue012", "\ue015"):
        browser.type([key])
        reached.add(browser.text("id"))
    assert reached - {before}, "the arrow keys did nothing"
    browser.type(["/"])
    assert browser.run("return document.activeElement.id") == "find"

    # The filter.
    word = "of <img" if rows < 1000 else "00012"
    browser.type(list(word))
    names = browser.run("return data.ids.map((id, row) => `${id}\\n${data.label[row] < 0 ? '' : data.labels[data.label[row]].name}`)")
    wanted = [row for row, text in enumerate(names) if word in text.lower()]
    assert wanted and browser.text("count").startswith(f"{len(wanted)} of {rows} clips"), browser.text("count")
    browser.type(["\ue007"])
    assert browser.text("id") == row_ids[wanted[0]]
    browser.shot(shots / f"{name}-filter.png")
    browser.run("document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input'))")

    # An area is selected and saved, and --list reads the file.
    browser.click("whole")
    browser.click("area")
    left, top, right, bottom = browser.run(
        "const r = document.getElementById('plane').getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]"
    )
    corner = (left + 0.25 * (right - left), top + 0.1 * (bottom - top))
    other = (left + 0.75 * (right - left), top + 0.9 * (bottom - top))
    browser.pointer(corner, "pointerDown", ((corner[0] + other[0]) / 2, (corner[1] + other[1]) / 2), other, "pointerUp")
    inside = browser.run(
        """const [a, b, c, d] = arguments, plane = document.getElementById("plane"), found = [];
        for (let row = 0; row < data.ids.length; row += 1) {
          const [x, y] = plane.placeOf(row);
          if (x >= a && x <= c && y >= b && y <= d) found.push(data.ids[row]);
        }
        return found;""",
        *map(round, (corner[0], corner[1], other[0], other[1])),
    )
    saved = downloads / "selection.csv"
    saved.unlink(missing_ok=True)
    browser.click("save")
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.1)
    with open(saved, encoding="utf-8", newline="") as table:
        listed = [row["id"] for row in csv.DictReader(table)]
    assert listed and sorted(listed) == sorted(inside), f"{len(listed)} were saved, {len(inside)} lie in the area"
    assert f"{len(listed)} selected" in browser.text("count")
    if rows < 1000:
        lift(program, folder, "search", collection, "--list", saved, "--top", 1, "-o", "of-list.jsonl", "--overwrite")
        lines = (folder / "of-list.jsonl").read_text(encoding="utf-8").splitlines()
        assert sorted({json.loads(line)["query"] for line in lines}) == sorted(set(listed))
        lift(program, folder, "embed", "--model", "mini", "--list", saved, "-o", "of-list.npy", "--overwrite")
    browser.shot(shots / f"{name}-selection.png")
    browser.click("clear")
    browser.click("area")

    # How long it takes to draw while zooming: told, not checked.
    spent = browser.later(
        """const done = arguments[0], plane = document.getElementById("plane"), r = plane.getBoundingClientRect(), times = [];
        let before = performance.now();
        const step = (at) => {
          const now = performance.now();
          if (at) times.push(now - before);
          before = now;
          if (at === 40) return done(times.sort((a, b) => a - b)[20]);
          plane.dispatchEvent(new WheelEvent("wheel", { clientX: r.left + 200, clientY: r.top + 200, deltaY: at < 20 ? -40 : 40, cancelable: true }));
          requestAnimationFrame(() => step(at + 1));
        };
        requestAnimationFrame(() => step(0));"""
    )
    print(f"  zooming: {spent:.0f} ms a picture (median of 40, without a GPU)")
    browser.dark(True)
    browser.shot(shots / f"{name}-dark.png")
    browser.dark(False)

    # Names are text, and nothing was asked for but the files of the page.
    assert browser.run("return typeof hacked") == "undefined"
    assert browser.run("return document.scripts.length") == 2
    asked = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    foreign = [name for name in asked if not name.startswith(("data:", "blob:", page.parent.as_uri() + "/strips/"))]
    assert not foreign, f"the page asked for {foreign[:5]}"


def phone(browser, page, shots, name):
    browser.open(page)
    wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"the page is {wide[0]} wide in a window of {wide[1]}"
    browser.pointer(place(browser, 3), "pointerDown", "pointerUp")
    assert browser.text("id"), "a tap shows no clip"
    wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"with a clip the page is {wide[0]} wide in a window of {wide[1]}"
    browser.shot(shots / f"{name}-phone.png")
    browser.run("document.getElementById('clip').scrollIntoView()")
    browser.shot(shots / f"{name}-phone-clip.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lift", default=ROOT / "target/release/lift", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--method", default="pca", help="of the many rows; tsne takes some minutes more")
    args = parser.parse_args()
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not found or not driver:
        print("skipped: the pages of lift plot --figure map need a Chromium and its driver on the PATH (Debian: chromium, chromium-driver)")
        return
    program = str(args.lift.resolve())
    with tempfile.TemporaryDirectory(prefix="lift-check-map-") as temporary:
        base = pathlib.Path(temporary)
        shots = args.shots or base
        shots.mkdir(parents=True, exist_ok=True)
        shots = shots.resolve()
        pages = []
        for name, make, collection, rows in (("88", small, "all.parquet", 88), ("many", lambda p, f: large(p, f, args.rows, args.method), "all.npz", args.rows)):
            folder = base / name
            folder.mkdir()
            page = make(program, folder)
            pages.append((name, page))
            downloads = folder / "downloads"
            downloads.mkdir()
            browser = Browser(found, driver, downloads)
            try:
                use(browser, page, program, collection, rows, downloads, shots, name)
            finally:
                browser.close()
        browser = Browser(found, driver, base, phone=True)
        try:
            for name, page in pages:
                phone(browser, page, shots, name)
        finally:
            browser.close()
    print("the pages work")


if __name__ == "__main__":
    sys.exit(main())
