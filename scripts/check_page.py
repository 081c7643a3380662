#!/usr/bin/env python3
"""Opens a page of `lift plot VIDEO -o page.html` (of one video) or `lift search -o page.html` in a headless Chromium, uses it, and
takes screenshots.

usage: check_page.py PAGE.html [FOLDER]

Checks that the script runs, that nothing is wider than a phone, and that the page asks the network for nothing. Of a plot: that
hovering a point, the slider, the keys and the choices show the right frame. Of a search: that a clip plays when it is pointed at,
touched or reached by the keyboard, and stops afterwards, that the arrow keys move among the hits, and that both filters hide
hits. Screenshots at phone and desktop width are written into FOLDER (default: the working directory), so that someone can look at
them. It needs Python and a Chromium on the PATH.
"""

import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# What follows runs inside the page, after its own script, and leaves what it saw in an attribute.
PLOT_PROBE = """
<script>
addEventListener("load", () => {
  const seen = {};
  const text = (id) => document.getElementById(id).textContent;
  const frame = () => Number((text("now").match(/frame (\\d+) of/) || [])[1]);
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const box = (name, at = 0) => document.getElementsByName(name)[at];
  const marks = () => document.querySelectorAll("#plane circle:not(.ring), #plane rect").length;
  try {
    seen.frames = document.querySelectorAll("#plane circle:not(.ring)").length;
    seen.start = frame();
    press("ArrowRight"); seen.right = frame();
    press("ArrowLeft"); press("ArrowLeft"); seen.leftStops = frame();
    press("End"); seen.end = frame();
    seen.picture = document.getElementById("picture").src.slice(0, 22);
    press("Home"); seen.home = frame();
    const scrub = document.getElementById("scrub");
    scrub.value = 1; scrub.dispatchEvent(new Event("input")); seen.scrub = frame();
    // Hover the last frame's feature.
    const points = [...document.querySelectorAll("#plane circle:not(.ring)")];
    const last = points[points.length - 1].getBoundingClientRect();
    document.getElementById("plane").dispatchEvent(new PointerEvent("pointermove",
      { clientX: last.x + last.width / 2, clientY: last.y + last.height / 2, bubbles: true }));
    seen.hover = frame();
    const tiles = document.querySelectorAll("#strip button");
    if (tiles.length) { tiles[1].click(); seen.tile = frame(); seen.current = document.querySelectorAll("#strip [aria-current=true]").length; }
    seen.tiles = tiles.length;
    const caption = text("caption");
    if (box("method", 1)) { box("method", 1).click(); seen.captions = [caption, text("caption")]; box("method", 0).click(); }
    const before = marks();
    box("reconstructed").click(); seen.halved = [before, marks()]; box("reconstructed").click();
    seen.clips = document.getElementsByName("clip").length;
    if (seen.clips > 1) { box("clip", 1).click(); seen.withMirror = [before, marks()]; seen.mirrorNow = text("now"); }
    seen.wide = [document.documentElement.scrollWidth, innerWidth];
    seen.heading = text("caption") && document.querySelector("h1").textContent;
    seen.requests = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:")).map((entry) => entry.name);
  } catch (error) { seen.error = String(error); }
  parent.document.body.setAttribute("data-seen", JSON.stringify(seen));
});
</script>
"""

SEARCH_PROBE = """
<script>
addEventListener("load", async () => {
  const seen = {};
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const shown = () => [...document.getElementById("hits").children].filter((item) => !item.hidden);
  const picture = (item) => item.querySelector("canvas").toDataURL();
  const type = (id, value) => { const field = document.getElementById(id); field.value = value; field.dispatchEvent(new Event("input")); };
  // Whether the clip shows another frame within its turn, and its first frame again after the second event.
  const plays = async (item, start, stop) => {
    const first = picture(item);
    start(item);
    const frames = new Set();
    for (let turn = 0; turn < 16; turn++) { await wait(150); frames.add(picture(item)); }
    stop(item);
    await wait(150);
    return [frames.size > 1, picture(item) === first];
  };
  const point = (name, pointerType) => (item) => item.dispatchEvent(new PointerEvent(name, { pointerType }));
  try {
    await wait(300);
    const items = shown();
    seen.hits = items.length;
    seen.mouse = await plays(items[0], point("pointerenter", "mouse"), point("pointerleave", "mouse"));
    seen.touch = await plays(items[0], point("pointerenter", "touch"), point("pointerleave", "touch"));
    seen.keyboard = await plays(items[0], (item) => item.focus(), (item) => item.blur());
    items[0].focus();
    const press = (key) => {
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      return items.indexOf(document.activeElement);
    };
    seen.keys = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp"].map(press);
    type("name", data.queries[0].hits.at(-1).id.toUpperCase());
    seen.named = shown().length;
    type("name", "no such name");
    seen.none = [shown().length, document.getElementById("count").textContent];
    type("name", "");
    const least = document.getElementById("least");
    type("least", least.max);
    seen.best = shown().length;
    type("least", least.min);
    seen.all = shown().length;
    seen.wide = [document.documentElement.scrollWidth, innerWidth];
    seen.requests = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:")).map((entry) => entry.name);
  } catch (error) { seen.error = String(error); }
  parent.document.body.setAttribute("data-seen", JSON.stringify(seen));
});
</script>
"""


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("no Chromium on the PATH")


def run(*arguments):
    with tempfile.TemporaryDirectory() as profile:
        base = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        return subprocess.run([*base, *arguments], capture_output=True, text=True, timeout=120, check=True).stdout


def framed(page, size, probe=""):
    """The page inside a frame of that size: a headless window has a least width, which is more than a phone's."""
    width, height = size
    inner = html.escape(page.read_text(encoding="utf-8").replace("</body>", probe + "</body>"), quote=True)
    return (
        '<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#777">'
        f'<iframe srcdoc="{inner}" style="border:0;width:{width}px;height:{height}px"></iframe></body>'
    )


def open_framed(page, size, *arguments, probe=""):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "framed.html")
        copy.write_text(framed(page, size, probe), encoding="utf-8")
        window = f"--window-size={max(size[0], 500)},{size[1]}"
        return run("--virtual-time-budget=20000", window, *arguments, copy.as_uri())


def work(page, size, probe):
    """What the probe saw at that size."""
    dom = open_framed(page, size, "--dump-dom", probe=probe)
    found = re.search(r'<body[^>]* data-seen="([^"]*)"', dom)
    assert found, "the page's script did not run"
    return json.loads(html.unescape(found.group(1)))


def check(seen):
    assert "error" not in seen, seen["error"]
    assert seen["requests"] == [], f"the page asked for {seen['requests']}"
    assert seen["wide"][0] <= seen["wide"][1], f"the page is {seen['wide'][0]} wide in a window of {seen['wide'][1]}"


def check_search(seen):
    assert seen["hits"] >= 3, "the page needs at least three hits"
    for way in ("mouse", "touch", "keyboard"):
        assert seen[way] == [True, True], f"{way}: a clip plays, and shows its first frame afterwards: {seen[way]}"
    assert seen["keys"] == [1, 2, 1, 0, 0], f"the arrow keys lead to the hits {seen['keys']}"
    assert 1 <= seen["named"] <= seen["hits"], f"{seen['named']} hits of the last one's name"
    assert seen["none"] == [0, f"0 of {seen['hits']} hits"], seen["none"]
    assert seen["best"] < seen["hits"] and seen["all"] == seen["hits"], f"the least score shows {seen['best']} and {seen['all']}"


def check_plot(seen):
    count = seen["frames"]
    assert count >= 2, "no path was drawn"
    expected = {"start": 1, "right": 2, "leftStops": 1, "end": count, "home": 1, "scrub": 2}
    for name, frame in expected.items():
        assert seen[name] == frame, f"{name}: frame {seen[name]}, not {frame}"
    assert seen["hover"] == count, f"hovering the last point shows frame {seen['hover']}"
    if seen["tiles"]:
        assert seen["tiles"] == count and seen["tile"] == 2 and seen["current"] == 1, "the strip is not linked"
        assert seen["picture"] == "data:image/jpeg;base64", "no picture is shown"
    if "captions" in seen:
        assert seen["captions"][0] != seen["captions"][1], "the other projection was not shown"
    full, half = seen["halved"]
    assert half * 2 == full, f"{half} of {full} points without the reconstruction"
    if "withMirror" in seen:
        assert seen["withMirror"][1] != seen["withMirror"][0], "the second clip was not switched"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    page = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    of_search = 'id="hits"' in page.read_text(encoding="utf-8")
    probe, check_more = (SEARCH_PROBE, check_search) if of_search else (PLOT_PROBE, check_plot)
    for name, size in (("phone", (390, 1350)), ("desktop", (1280, 1000))):
        seen = work(page, size, probe)
        check(seen)
        check_more(seen)
        shot = folder / f"{page.stem}-{name}.png"
        open_framed(page, size, f"--screenshot={shot.resolve()}")
        print(f"{page.name}: works at {size[0]} pixels; look at {shot}")


if __name__ == "__main__":
    main()
