"""The page in a real browser, on a desk and on a phone: everything loads, nothing overflows."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from html import unescape

import pytest

from bayes_causal.reports.html import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,1000 --virtual-time-budget=8000 --dump-dom"
).split()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

# The report's own policy forbids scripts, so a page around it looks in: a frame of 390 px is a phone, which no window can be.
FRAME = """<!doctype html><body style="margin:0">
<iframe src="report.html" style="width:%dpx;height:%dpx;border:0"></iframe><pre id="out"></pre><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const doc = frame.contentDocument, style = e => frame.contentWindow.getComputedStyle(e);
  doc.querySelectorAll("details").forEach(d => d.open = true);
  const scrolls = e => e && e !== doc.body && (["auto", "scroll"].includes(style(e).overflowX) || scrolls(e.parentElement));
  const shown = selector => [...doc.body.querySelectorAll(selector)].filter(e => !e.hidden && e.getClientRects().length);
  const name = e => e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 40);
  const texts = shown("p, td, th, dd, dt, h1, h2, h3, li, summary, figcaption, .big, .chip");
  const width = doc.documentElement.clientWidth, images = [...doc.images];
  const cut = e => !scrolls(e) && style(e).display !== "inline" && e.scrollWidth > e.clientWidth + 1;
  document.getElementById("out").textContent = JSON.stringify({
    width, page: doc.documentElement.scrollWidth,
    outside: shown("*").filter(e => !scrolls(e) && e.getBoundingClientRect().right > width + 1).map(name),
    cut: texts.filter(cut).map(name),
    tiny: texts.filter(e => e.textContent.trim() && parseFloat(style(e).fontSize) < 12).map(name),
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).map(i => i.alt),
    images: images.length, drawn: Math.min(...images.map(i => i.getBoundingClientRect().width)),
    nav: style(doc.querySelector(".toc")).position,
  });
};
</script></body>"""


def look(html, width, height, folder):
    """What the browser measures on the page at this size, and every path it asked the server for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    (folder / "report.html").write_text(html, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME % (width, height), encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"http://127.0.0.1:{server.server_port}/frame.html"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    found = re.search(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL)
    assert found is not None and found[1], shown[-500:]
    return json.loads(unescape(found[1])), asked


RUNS = {
    "full": {},
    "awkward": {
        "name": "A<b>" + "Donaudampfschifffahrtsgesellschaft" * 3,
        "groups": [f"{'x' * 70}{k}" for k in range(60)],
        "reliable": False,
    },
    "bare": {"groups": 0, "times": [], "predictive": False, "rope": None, "shift": -0.042},
}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("run", [*RUNS, "series"])
def test_nothing_is_cut_and_nothing_is_missing(make, make_series, run, width, height, tmp_path):
    html, figures = render(make_series() if run == "series" else make(**RUNS[run]))
    seen, asked = look(html, width, height, tmp_path)
    assert seen["page"] <= seen["width"], seen
    assert width - 20 <= seen["width"] <= width
    assert seen["outside"] == [] and seen["cut"] == []
    assert seen["broken"] == [] and seen["images"] == len(figures)
    assert seen["tiny"] == []
    assert seen["drawn"] >= min(0.85 * width, 560)
    assert (seen["nav"] == "sticky") == (width > 1000)
    assert set(asked) <= {"/frame.html", "/report.html", "/favicon.ico"}
