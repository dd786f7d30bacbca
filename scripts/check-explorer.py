#!/usr/bin/env python3
"""Opens the pages of the explorer in headless Chromium and uses them: every loss clicked and hovered, the
search, a region, the sliders. A script error, a missing part or an attempt to reach the network is a failure.

    scripts/check-explorer.py target/release/ponens [PICTURE.png]

CHROMIUM names the browser (chromium). PICTURE is a picture of the lattice with CPO chosen.
"""

import html
import json
import os
import re
import subprocess
import sys
import tempfile

PROBE = """
<script>
"use strict";
(() => {
  const found = { errors, nodes: 0, covers: DATA.covers.length, loaded: performance.getEntriesByType("resource").length, losses: [] };
  const all = q => [...document.querySelectorAll(q)];
  const nodes = all("svg .node");
  found.nodes = nodes.length;
  const fire = (e, type) => e.dispatchEvent(new MouseEvent(type, { bubbles: true }));
  const colours = () => {
    const c = document.querySelector("#panel canvas");
    const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
    for (let i = 0; i < data.length; i += 4 * 97) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return seen.size;
  };
  const picture = () => document.querySelector("#panel canvas").toDataURL();
  for (const [i, node] of nodes.entries()) {
    fire(node, "mouseenter");
    const lit = all("svg .edge.on").length;
    fire(node, "mouseleave");
    fire(node, "click");
    found.losses.push({
      label: DATA.nodes[i].label, lit,
      picked: all("svg .node.picked").length === 1 && node.classList.contains("picked"),
      rows: all("#rows tr").length - 1, ticks: all("#rows .tick").length, crosses: all("#rows .cross").length,
      wins: DATA.nodes[i].wins.length, loses: DATA.nodes[i].loses.length, atoms: DATA.nodes[i].atoms.length,
      clauses: all("#clauses td.code").map(e => e.textContent), colours: colours(),
    });
  }
  const before = picture();
  const last = all("#panel input[type=range]").pop();
  last.value = last.max;
  last.dispatchEvent(new Event("input", { bubbles: true }));
  found.slides = picture() !== before;
  const find = document.getElementById("find");
  find.value = DATA.nodes[0].label;
  find.dispatchEvent(new Event("input", { bubbles: true }));
  found.searched = nodes.length - all("svg .node.off").length;
  find.value = "";
  find.dispatchEvent(new Event("input", { bubbles: true }));
  const key = document.querySelector(".key");
  fire(key, "click");
  found.region = [nodes.length - all("svg .node.off").length, +key.textContent.match(/ (\\d+)$/)[1]];
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.replaceChildren(out);
})();
</script>
"""
LISTEN = '<script>const errors = []; addEventListener("error", e => errors.push(String(e.message)));</script>'


def browser(*args):
    command = [os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
               "--host-resolver-rules=MAP * ~NOTFOUND", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def use(folder, name, page):
    path = os.path.join(folder, f"{name}.html")
    with open(path, "w") as file:
        file.write(page.replace("<head>", "<head>" + LISTEN, 1).replace("</body>", PROBE + "</body>", 1))
    dom = browser("--virtual-time-budget=5000", "--dump-dom", f"file://{path}")
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.S)
    if not found:
        sys.exit(f"{name}: the page stopped: {dom[-600:]}")
    return json.loads(html.unescape(found.group(1)))


def check(name, found, nodes, covers):
    wrong = []
    expect = lambda what, ok: None if ok else wrong.append(what)
    expect(f"script errors {found['errors']}", not found["errors"])
    expect(f"{found['loaded']} resources loaded", found["loaded"] == 0)
    expect(f"{found['nodes']} losses", nodes is None or found["nodes"] == nodes)
    expect(f"{found['covers']} covers", covers is None or found["covers"] == covers)
    expect("sliders do not repaint", found["slides"])
    expect(f"the search leaves {found['searched']}", 1 <= found["searched"] < found["nodes"])
    expect(f"a region shows {found['region'][0]} of {found['region'][1]}", found["region"][0] == found["region"][1])
    for loss in found["losses"]:
        expect(f"{loss['label']}: not picked", loss["picked"])
        expect(f"{loss['label']}: truth table", loss["rows"] == 1 << loss["atoms"]
               and (loss["ticks"], loss["crosses"]) == (loss["wins"], loss["loses"]))
        expect(f"{loss['label']}: clauses", len(loss["clauses"]) == 4 and all(loss["clauses"]))
        expect(f"{loss['label']}: an empty picture", loss["colours"] > 8)
        # Only a page of one layer has losses without neighbours.
        expect(f"{loss['label']}: no line lit", loss["lit"] > 0 or not found["covers"])
    if wrong:
        sys.exit(f"{name}: " + "; ".join(wrong[:8]))
    print(f"{name}: {found['nodes']} losses, {found['covers']} covers, each clicked and hovered")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    ponens = os.path.abspath(sys.argv[1])
    pages = {
        "lattice": (["--lattice"], 16, 32),
        "reference": (["--lattice", "--reference"], 16, 32),
        "monotone": (["--monotone", "--depends-on-both"], 34, None),
        "between": (["--between", "lattice.ORPO", "lattice.unCPO"], None, None),
        "four": (["--atoms", "4", "--between", "lattice.CPO_ref", "lattice.unCPO_ref", "--limit", "60"], None, None),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (args, nodes, covers) in pages.items():
            run = [ponens, "landscape", *args, "--format", "html"]
            page = subprocess.run(run, check=True, capture_output=True, text=True).stdout
            check(name, use(folder, name, page), nodes, covers)
            if name == "lattice" and len(sys.argv) == 3:
                path = os.path.join(folder, "picture.html")
                with open(path, "w") as file:
                    file.write(page)
                browser("--hide-scrollbars", "--window-size=1280,900",
                        f"--screenshot={os.path.abspath(sys.argv[2])}", f"file://{path}#CPO")


if __name__ == "__main__":
    main()
